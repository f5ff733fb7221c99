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
from serving.reports.periods import By, has_whole_hours

_EPISODES, _DAYS = 1000, 400  # of a show, of a range: more may take long


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
    take half as long again (bench api). What may take long goes to a thread all the same: it is the loop that
    all others wait for.
    """

    def is_quick(self, visit: Visit, given: dict[str, Any]) -> bool:
        # Without a key: of others' shows more is read than told, to see what is to be hidden.
        if visit.accepted is not Format.JSON or visit.caller.key_id is None or visit.edition is None:
            return False  # files hold long tables
        asked = (getattr(value, "show_id", None) for value in given.values())
        show = visit.edition.catalogue.by_id.get(next((name for name in asked if name), ""))
        if show is None or show.episodes > _EPISODES:
            return False
        zone, first = given.get("time_zone"), given.get("first")
        if first is None:  # the newest; in a zone off by parts of an hour they are counted one by one
            return zone is None or _has_whole_hours(zone)
        is_long = (datetime.now(UTC).date() - first).days > _DAYS or given.get("dimension") is not None
        return zone is None and not is_long and given.get("by") is not By.HOUR


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
