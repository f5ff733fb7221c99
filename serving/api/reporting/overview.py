"""The shows of a tenant, or all of the platform for its operator, together."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query
from starlette.responses import Response

from registry.api_keys import Scope
from registry.show_access import ALL_SHOWS
from serving.api.answers import documented
from serving.api.caller import Caller
from serving.api.reporting import rows
from serving.api.reporting.asked import ClassAsked, First, Last, basis_of, report_answer
from serving.api.routing import Router
from serving.api.visit import AskTable, Visit, needs
from serving.reports import overview
from serving.reports.overview import Together
from serving.reports.periods import By

router = Router(prefix="/v1", tags=["reporting"])

Reader = Annotated[Caller, needs(Scope.READ)]
Most = Annotated[int, Query(ge=1, le=1000, description="the largest so many")]


@router.get(
    "/overview/downloads",
    responses=documented(rows.PlatformRow, rows.Basis),
    summary="Downloads of all your shows together",
)
def downloads_together(
    ask: AskTable,
    caller: Reader,
    by: Annotated[Literal["day", "week", "month"], Query(description="weeks are ISO weeks")] = "day",
    first: First = None,
    last: Last = None,
    source_class: ClassAsked = None,
) -> Response:
    """Under one source class; the operator sees all shows of the catalogue. Dates are the marts'."""
    together = _together(ask, source_class)
    return report_answer(ask, overview.by_period(together, By(by), first, last))


@router.get(
    "/overview/top-shows",
    responses=documented(rows.TopShowRow, rows.Basis),
    summary="Your largest shows in a range of dates",
)
def top_shows(
    ask: AskTable,
    caller: Reader,
    first: First = None,
    last: Last = None,
    most: Most = 10,
    source_class: ClassAsked = None,
) -> Response:
    """By downloads; without dates the newest 30 days."""
    return report_answer(ask, overview.top_shows(_together(ask, source_class), first, last, most))


@router.get(
    "/top-episodes",
    responses=documented(rows.TopEpisodeRow, rows.Basis),
    summary="The largest episodes of your shows in a range of dates",
)
def top_episodes(
    ask: AskTable,
    caller: Reader,
    first: First = None,
    last: Last = None,
    most: Most = 10,
    source_class: ClassAsked = None,
) -> Response:
    """By downloads; without dates the newest 30 days."""
    return report_answer(ask, overview.top_episodes(_together(ask, source_class), first, last, most))


def _together(ask: Visit, source_class: ClassAsked) -> Together:
    """The caller's own shows; those that others opened are not among them."""
    edition, caller = ask.marts, ask.caller
    owned = ask.access.owned.get(caller.tenant or "", frozenset())
    ids = None if caller.is_operator or ALL_SHOWS in owned else owned
    return Together(edition.catalogue, basis_of(ask), ids, source_class)
