"""Where endpoints that are plain functions run: in a few threads that stay, the quick ones on the loop."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter

from serving.api.formats import Format
from serving.api.visit import Visit


class Router(APIRouter):
    """FastAPI's router; its own thread pool starts threads anew again and again, this one does not.

    Each thread has its own DuckDB cursor.
    """

    _may_be_quick = False

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        if not inspect.iscoroutinefunction(endpoint):
            endpoint = _placed(endpoint, self._may_be_quick)
        super().add_api_route(path, endpoint, **options)


class QuickRouter(Router):
    """For endpoints that ask a few queries of a millisecond about one show, and no database over the network.

    To hand such a one to a thread and wait for the interpreter's lock is a sixth of its CPU, and the slowest
    take longer (bench api). What may take long goes to a thread all the same.
    """

    _may_be_quick = True


def _placed(endpoint: Callable[..., Any], may_be_quick: bool) -> Callable[..., Any]:
    @functools.wraps(endpoint)
    async def placed(**given: Any) -> Any:
        carried = (getattr(value, "ask", value) for value in given.values())  # OfShow carries one
        visit = next((value for value in carried if isinstance(value, Visit)), None)
        if may_be_quick and visit is not None and _is_quick(visit, given):
            return endpoint(**given)
        pool = visit.core.pool if visit else None
        call = functools.partial(endpoint, **given)
        return await asyncio.get_running_loop().run_in_executor(pool, call)

    return placed


def _is_quick(visit: Visit, given: dict[str, Any]) -> bool:
    """In a time zone of the caller's downloads may be counted one by one; files hold long tables."""
    return visit.accepted is Format.JSON and given.get("time_zone") is None
