"""Downloads of shows and episodes over time, and by app, device, country and the like."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from registry.show_access import Subject
from serving.api.answers import documented
from serving.api.reporting import rows
from serving.api.reporting.asked import (
    Downloads,
    EpisodeId,
    First,
    Last,
    OfShow,
    TimeZone,
    of_show,
)
from serving.api.routing import QuickRouter
from serving.reports.asking import BadQuestion, Report
from serving.reports.dimensions import Dimension, by_dimension
from serving.reports.downloads import Episode, downloads
from serving.reports.periods import By
from serving.reports.shows import Scope

router = QuickRouter(prefix="/v1", tags=["reporting"])

Audience = Annotated[OfShow, of_show(Subject.AUDIENCE)]
ByAsked = Annotated[By, Query(description="what a row stands for; weeks are ISO weeks")]
DimensionAsked = Annotated[
    Dimension | None,
    Query(description="told apart by this: a row each period and value; days are the marts'"),
]
ValuesAsked = Annotated[int, Query(ge=1, le=50, description="how many values of the dimension, the largest")]
_ROWS = documented(rows.DownloadsRow, rows.OfRange)


@router.get("/shows/{show_id}/downloads", responses=_ROWS, summary="Downloads of a show over time")
def downloads_of_a_show(
    asked: Downloads,
    by: ByAsked = By.DAY,
    first: First = None,
    last: Last = None,
    time_zone: TimeZone = None,
    dimension: DimensionAsked = None,
    values: ValuesAsked = 10,
) -> Response:
    """By hour, day, week or month of any time zone; periods without downloads have no row.

    Without dates the newest ones: 7 days by hour, 30 by day, 26 weeks, a year of months.
    """
    scope = (asked if dimension is None else _of_audience(asked)).scope()
    return asked.answer(_report(scope, None, by, first, last, time_zone, dimension, values))


@router.get(
    "/episodes/{show_id}/{episode_id:path}/downloads",
    responses=_ROWS,
    summary="Downloads of an episode over time",
)
def downloads_of_an_episode(
    asked: Downloads,
    episode_id: EpisodeId,
    by: ByAsked = By.DAY,
    first: First = None,
    last: Last = None,
    time_zone: TimeZone = None,
    dimension: DimensionAsked = None,
    values: ValuesAsked = 10,
) -> Response:
    """As for a show; without dates from its publication on."""
    scope, episode = (asked if dimension is None else _of_audience(asked)).episode(episode_id)
    return asked.answer(_report(scope, episode, by, first, last, time_zone, dimension, values))


@router.get(
    "/shows/{show_id}/audience",
    responses=documented(rows.ValueRow, rows.OfRange),
    summary="Downloads of a show by app, device, country and the like",
)
def audience_of_a_show(
    asked: Audience,
    dimension: Annotated[
        Dimension, Query(description="each holds all downloads: choose one")
    ] = Dimension.APP,
    first: First = None,
    last: Last = None,
    values: Annotated[int, Query(ge=1, le=1000, description="the largest; shares are of all")] = 100,
) -> Response:
    """Over the whole range, the largest first; without dates the newest 30 days."""
    return asked.answer(by_dimension(asked.scope(), dimension, None, first, last, most=values))


@router.get(
    "/episodes/{show_id}/{episode_id:path}/audience",
    responses=documented(rows.ValueRow, rows.OfRange),
    summary="Downloads of an episode by app, device, country and the like",
)
def audience_of_an_episode(
    asked: Audience,
    episode_id: EpisodeId,
    dimension: Annotated[
        Dimension, Query(description="each holds all downloads: choose one")
    ] = Dimension.APP,
    first: First = None,
    last: Last = None,
    values: Annotated[int, Query(ge=1, le=1000, description="the largest; shares are of all")] = 100,
) -> Response:
    """Over the whole range, the largest first; without dates from its publication on."""
    scope, episode = asked.episode(episode_id)
    return asked.answer(by_dimension(scope, dimension, None, first, last, episode, values))


def _of_audience(asked: OfShow) -> OfShow:
    return OfShow(asked.ask, asked.show_id, Subject.AUDIENCE, asked.source_class, asked.window)


def _report(
    scope: Scope,
    episode: Episode | None,
    by: By,
    first: First,
    last: Last,
    time_zone: str | None,
    dimension: Dimension | None,
    values: int,
) -> Report:
    if dimension is None:
        return downloads(scope, by, first, last, time_zone, episode)
    if time_zone not in (None, scope.basis.time_zone):
        raise BadQuestion("time_zone", f"a dimension is told by the marts' days, in {scope.basis.time_zone}")
    return by_dimension(scope, dimension, by, first, last, episode, values)
