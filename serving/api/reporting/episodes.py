"""Episodes of a show: all of them, the largest, and how they grow beside the show's band."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from serving.api.answers import documented
from serving.api.paging import PageAsked
from serving.api.reporting import rows
from serving.api.reporting.asked import Downloads, EpisodeId, First, Last, Pacing
from serving.api.routing import QuickRouter
from serving.reports import episodes, pacing

router = QuickRouter(prefix="/v1", tags=["reporting"])


@router.get(
    "/shows/{show_id}/episodes",
    responses=documented(rows.EpisodeRow, rows.OfShow),
    summary="Episodes of a show with their downloads so far",
)
def episodes_of_a_show(page: PageAsked, asked: Downloads) -> Response:
    """The newest first."""
    most, offset = page.window
    with_urls = asked.ask.caller.is_told_addresses
    return asked.answer(episodes.episodes(asked.scope(), most, offset, with_urls), page)


@router.get(
    "/shows/{show_id}/top-episodes",
    responses=documented(rows.TopEpisodeRow, rows.OfRange),
    summary="The largest episodes of a show in a range of dates",
)
def top_episodes_of_a_show(
    asked: Downloads,
    first: First = None,
    last: Last = None,
    most: Annotated[int, Query(ge=1, le=1000, description="episodes, the largest")] = 10,
) -> Response:
    """By downloads in the range; without dates the newest 30 days."""
    return asked.answer(episodes.top_episodes(asked.scope(), first, last, most))


@router.get(
    "/shows/{show_id}/pacing",
    responses=documented(rows.PaceRow, rows.OfShow),
    summary="How a show's newest episodes grow, beside its band",
)
def pacing_of_a_show(
    asked: Pacing, most: Annotated[int, Query(ge=1, le=100, description="episodes, the newest")] = 20
) -> Response:
    """A row an episode and age. The band is the middle half of the show's episodes of that age."""
    return asked.answer(pacing.paces(asked.scope(), None, most))


@router.get(
    "/shows/{show_id}/pacing-band",
    responses=documented(rows.BandRow, rows.OfShow),
    summary="How a show's episodes usually grow",
)
def pacing_band_of_a_show(asked: Pacing) -> Response:
    """Quartiles of downloads by age, over how many episodes, and why others are not among them."""
    return asked.answer(pacing.band(asked.scope()))


@router.get(
    "/episodes/{show_id}/{episode_id:path}/pacing",
    responses=documented(rows.PaceRow, rows.OfShow),
    summary="How an episode grows, beside its show's band",
)
def pacing_of_an_episode(asked: Pacing, episode_id: EpisodeId) -> Response:
    """A row an age."""
    scope, episode = asked.episode(episode_id)
    return asked.answer(pacing.paces(scope, episode))
