"""Where endpoints that are plain functions run: in a few threads that stay, the quick ones on the loop."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter

from serving.api.formats import Format
from serving.api.visit import Visit
from serving.reports.periods import has_whole_hours


class Router(APIRouter):
    """FastAPI's router; its own thread pool starts threads anew again and again, this one does not.

    Each thread has its own DuckDB cursor.
    """

    def is_quick(self, visit: Visit, given: dict[str, Any]) -> bool:
        """Whether the endpoint, called with that, keeps the loop busy for a few milliseconds only."""
        return False

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        if not inspect.iscoroutinefunction(endpoint):
            endpoint = _placed(endpoint, self.is_quick)
        super().add_api_route(path, endpoint, **options)


class QuickRouter(Router):
    """For endpoints that ask a few queries of a millisecond about one show.

    To hand such a one to a thread and wait for the interpreter's lock is a sixth of its CPU, and the slowest
    take half as long again (bench api). What may take long goes to a thread all the same.
    """

    def is_quick(self, visit: Visit, given: dict[str, Any]) -> bool:
        # Files hold long tables; in a zone off by parts of an hour downloads are counted one by one.
        zone = given.get("time_zone")
        is_short = zone is None or (given.get("first") is None and _has_whole_hours(zone))
        return visit.accepted is Format.JSON and is_short


class RecordRouter(Router):
    """For endpoints that look up a few rows of registry and lake; quick where the registry is a file."""

    def is_quick(self, visit: Visit, given: dict[str, Any]) -> bool:
        return visit.core.engine.dialect.name == "sqlite"


def _placed(
    endpoint: Callable[..., Any], is_quick: Callable[[Visit, dict[str, Any]], bool]
) -> Callable[..., Any]:
    @functools.wraps(endpoint)
    async def placed(**given: Any) -> Any:
        carried = (getattr(value, "ask", value) for value in given.values())  # OfShow carries one
        visit = next((value for value in carried if isinstance(value, Visit)), None)
        if visit is not None and is_quick(visit, given):
            return endpoint(**given)
        pool = visit.core.pool if visit else None
        call = functools.partial(endpoint, **given)
        return await asyncio.get_running_loop().run_in_executor(pool, call)

    return placed


@functools.lru_cache(maxsize=1000)
def _has_whole_hours(zone: str) -> bool:
    today = datetime.now(UTC).date()
    try:
        return has_whole_hours(zone, today - timedelta(days=366), today)
    except (ValueError, LookupError, OSError):
        return True  # it will be refused
