"""The application: settings in, FastAPI out."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from importlib.metadata import version

import anyio.to_thread
from fastapi import APIRouter, FastAPI
from starlette.middleware.cors import CORSMiddleware

from serving.api.answers import COMMON_PROBLEMS
from serving.api.core import Core
from serving.api.gate import Gate
from serving.api.problems import handle_problems
from serving.api.reporting import shows
from serving.api.settings import ApiSettings

ROUTERS: tuple[APIRouter, ...] = (shows.router,)


def create_app(settings: ApiSettings) -> FastAPI:
    """Raises SettingError: the registry cannot be used."""
    core = Core(settings)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = settings.threads
        with core.kept_current():
            yield

    app = FastAPI(
        title="Earshot",
        version=version("earshot"),
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        responses=COMMON_PROBLEMS,
        separate_input_output_schemas=False,
    )
    app.state.core = core
    handle_problems(app)
    for router in ROUTERS:
        app.include_router(router)
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


def from_environment() -> FastAPI:
    """The application under the environment's settings: what a worker of the server loads."""
    return create_app(ApiSettings.from_env())
