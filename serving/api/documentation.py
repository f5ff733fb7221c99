"""The OpenAPI document, written once, and a page to read and try it, whose assets come from a package."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import fastapi_offline
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from serving.api.formats import to_json
from serving.api.problems import ProblemBody

OPENAPI_PATH = "/v1/openapi.json"
_PAGE_PATH = "/v1/docs"
_ASSETS_PATH = "/v1/docs/assets"
_STARTER_PATH = "/v1/docs/start.js"
# Swagger UI writes style attributes; it runs no script but those named here.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_PAGE = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Earshot API</title>
<link rel="stylesheet" href="{_ASSETS_PATH}/swagger-ui.css">
<link rel="icon" href="{_ASSETS_PATH}/favicon.png">
</head>
<body>
<main id="page"><noscript>The same is in <a href="{OPENAPI_PATH}">the OpenAPI document</a>.</noscript></main>
<script src="{_ASSETS_PATH}/swagger-ui-bundle.js"></script>
<script src="{_STARTER_PATH}"></script>
</body>
</html>
"""
_STARTER = f'SwaggerUIBundle({{url: "{OPENAPI_PATH}", dom_id: "#page", deepLinking: true}});\n'


def described(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document: FastAPI's, with keys and problems said once for all endpoints."""
    found: dict[str, Any] = app.openapi()
    parts = found.setdefault("components", {})
    problem = ProblemBody.model_json_schema(ref_template="#/components/schemas/{model}")
    parts.setdefault("schemas", {}).update(problem.pop("$defs"), Problem=problem)
    parts["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "A key of `earshot key new`: es_…"}
    }
    found["security"] = [{}, {"key": []}]  # what is open to anybody needs none
    return found


def document(app: FastAPI) -> None:
    """Add them to the application, once all of its routers are."""
    written = to_json(described(app))

    async def openapi(_: Request) -> Response:
        return Response(written, media_type="application/json")

    async def page(_: Request) -> Response:
        return HTMLResponse(_PAGE, headers={"content-security-policy": _POLICY})

    async def starter(_: Request) -> Response:
        return Response(_STARTER, media_type="text/javascript")

    app.router.add_route(OPENAPI_PATH, openapi, include_in_schema=False)
    app.router.add_route(_PAGE_PATH, page, include_in_schema=False)
    app.router.add_route(_STARTER_PATH, starter, include_in_schema=False)
    assets = StaticFiles(directory=str(files(fastapi_offline) / "static"))
    app.mount(_ASSETS_PATH, assets, name="documentation assets")
