"""Routers whose plain `def` endpoints run in a few threads that stay, each with its own DuckDB cursor."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter

from serving.api.visit import Visit


class Router(APIRouter):
    """FastAPI's router; its own thread pool starts threads anew again and again, this one does not."""

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        if not inspect.iscoroutinefunction(endpoint):
            endpoint = _threaded(endpoint)
        super().add_api_route(path, endpoint, **options)


def _threaded(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(endpoint)
    async def threaded(**given: Any) -> Any:
        carried = (getattr(value, "ask", value) for value in given.values())  # OfShow carries one
        visit = next((value for value in carried if isinstance(value, Visit)), None)
        pool = visit.core.pool if visit else None
        call = functools.partial(endpoint, **given)
        return await asyncio.get_running_loop().run_in_executor(pool, call)

    return threaded
