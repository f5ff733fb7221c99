"""The application: settings in, FastAPI out."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import AsyncIterator
from importlib.metadata import version

from fastapi import APIRouter, FastAPI
from starlette.middleware.cors import CORSMiddleware

from ingest import own_log
from ingest.process import look_for_garbage_seldom
from serving.api import operations
from serving.api.answers import COMMON_PROBLEMS
from serving.api.core import Core
from serving.api.documentation import document
from serving.api.gate import Gate
from serving.api.hints import routes as hints
from serving.api.management import routes as management
from serving.api.metadata import routes as metadata
from serving.api.problems import handle_problems
from serving.api.reporting import (
    collaborations,
    downloads,
    episodes,
    listeners,
    overview,
    quality,
    shows,
)
from serving.api.settings import ApiSettings
from serving.pages.charts.draw import warm
from serving.pages.routes import problem_page
from serving.pages.routes import router as pages

ROUTERS: tuple[APIRouter, ...] = (
    operations.router,
    shows.router,
    downloads.router,
    listeners.router,
    episodes.router,
    quality.router,
    collaborations.router,
    overview.router,
    *metadata.ROUTERS,
    *management.ROUTERS,
    *hints.ROUTERS,
)

_ABOUT = """Podcast figures, records and management.

Figures come from one publication of the marts at a time: `version` in each answer, and its ETag.
Errors are problem documents (RFC 9457) that name the field. A show you may not see does not exist for you.
"""


def create_app(settings: ApiSettings) -> FastAPI:
    """Raises SettingError: the registry cannot be used."""
    core = Core(settings)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        warm()
        _settle()
        with core.kept_current(), contextlib.closing(core.marts):
            yield

    app = FastAPI(
        title="Earshot",
        version=version("earshot"),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,  # those redirects name the host that the request says it is for
        responses=COMMON_PROBLEMS,
        separate_input_output_schemas=False,
        generate_unique_id_function=lambda route: route.name,
        description=_ABOUT,
    )
    app.state.core = core
    handle_problems(app, problem_page)
    for router in ROUTERS:
        app.include_router(router)
    app.include_router(pages)
    document(app)
    app.add_middleware(Gate, core=core)
    if settings.cors:
        origins = [origin.strip() for origin in settings.cors.split(",")]
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "HEAD", "POST", "PUT", "DELETE"],
            allow_headers=["authorization", "content-type", "if-none-match"],
            expose_headers=["etag", "link", "earshot-version", "retry-after"],
        )
    return app


def _settle() -> None:
    """Collect garbage seldom: nearly all that a request leaves behind goes without that, and to look through
    what is known of 12,000 shows each time was a tenth of a request's CPU (bench api).
    """
    gc.collect()
    look_for_garbage_seldom()


def from_environment() -> FastAPI:
    """The application under the environment's settings: what a worker of the server loads."""
    settings = ApiSettings.from_env()
    own_log.set_up(settings.platform)
    return create_app(settings)
