"""Listeners of shows and episodes: distinct within each period, new and returning."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from registry.show_access import Subject
from serving.api.answers import documented
from serving.api.reporting import rows
from serving.api.reporting.asked import EpisodeId, First, Last, PublishedDownloads
from serving.api.routing import QuickRouter
from serving.reports.listeners import Period, listeners

router = QuickRouter(prefix="/v1", tags=["reporting"])

PeriodAsked = Annotated[
    Period, Query(description="within what they are distinct; a trailing one ends with each date")
]
_ROWS = documented(rows.ListenersRow, rows.OfRange)


@router.get("/shows/{show_id}/listeners", responses=_ROWS, summary="Listeners of a show")
def listeners_of_a_show(
    asked: PublishedDownloads, period: PeriodAsked = Period.WEEK, first: First = None, last: Last = None
) -> Response:
    """Never to be summed over rows: ask for a longer period instead. Dates are the marts'.

    New and returning ones are shown to those who may see the show's audience.
    """
    with_new = asked.may(Subject.AUDIENCE)
    return asked.answer(listeners(asked.scope(), period, first, last, with_new=with_new))


@router.get(
    "/episodes/{show_id}/{episode_id:path}/listeners", responses=_ROWS, summary="Listeners of an episode"
)
def listeners_of_an_episode(
    asked: PublishedDownloads,
    episode_id: EpisodeId,
    period: PeriodAsked = Period.WEEK,
    first: First = None,
    last: Last = None,
) -> Response:
    """As for a show; new ones are new to the show."""
    scope, episode = asked.episode(episode_id)
    with_new = asked.may(Subject.AUDIENCE)
    return asked.answer(listeners(scope, period, first, last, episode, with_new))
