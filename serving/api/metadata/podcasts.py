"""GET /v1/podcasts …: podcasts found by what names them, their latest record, their history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import Query, Request
from starlette.responses import Response

from ingest.feeds.schema import Record
from registry.podcasts import Podcast
from registry.tables import PodcastState
from registry.visible import Named, find_among
from serving.api.answers import problems
from serving.api.metadata.answers import PlaceAsked, listed, record_answer, rows_answer
from serving.api.metadata.naming import PodcastPath, key_in, podcast_of, url_in, writable
from serving.api.metadata.remembered import Made
from serving.api.metadata.shapes import HistoryRow, PodcastRecord, PodcastRow
from serving.api.metadata.sight import Sight, sight_of
from serving.api.problems import bad_parameter
from serving.api.routing import Router
from serving.api.visit import Ask, AskTable
from serving.metadata import told
from serving.metadata.history import FIELDS, Asked, history

router = Router(prefix="/v1", tags=["metadata"])

_REASONED = (PodcastState.GONE, PodcastState.DEAD)
_MOST_ID = 2**63 - 1


@router.get("/podcasts", responses=listed(PodcastRow), summary="Podcasts, by what names them")
def list_podcasts(
    ask: AskTable,
    request: Request,
    place: PlaceAsked,
    url: Annotated[
        str | None, Query(max_length=4096, description="of the feed, also one it moved to")
    ] = None,
    guid: Annotated[str | None, Query(max_length=200, description="podcast:guid")] = None,
    itunes_id: Annotated[int | None, Query(ge=1, le=_MOST_ID, description="Apple's")] = None,
    podcastindex_id: Annotated[
        int | None, Query(ge=1, le=_MOST_ID, description="the Podcast Index's")
    ] = None,
    show_id: Annotated[
        str | None, Query(max_length=200, description="under which its downloads are counted")
    ] = None,
) -> Response:
    """Those you track, and those whose show you may see; by key. All conditions together."""
    named = Named(
        url=None if url is None else url_in("url", url),
        guid=None if guid is None else writable("guid", guid),
        itunes_id=itunes_id,
        podcastindex_id=podcastindex_id,
        show_id=None if show_id is None else writable("show_id", show_id),
    )
    sight = sight_of(ask)
    after = None if place.after is None else int(place.after[0])
    found = find_among(ask.core.engine, named, sight.keys, after, place.limit + 1)
    rows = podcast_rows(ask.core.catalogue.latest.podcasts([one.podcast_key for one in found]), found, sight)
    cursor = place.cursor([found[place.limit - 1].podcast_key]) if len(found) > place.limit else None
    return rows_answer(ask, request, list(PodcastRow.model_fields), rows[: place.limit], cursor)


@router.get(
    "/podcasts/{podcast}",
    response_model=PodcastRecord,
    responses=problems(404, 409),
    summary="The latest record of a podcast",
)
async def get_podcast(ask: Ask, request: Request, podcast: PodcastPath) -> Response:
    """As of the last sweep. With an ETag: 304 while it says the same. Whoever does not track the podcast, but
    may see its show, is told no addresses of feed and files, as a private feed's hold a token.
    """
    return await ask.core.remembered.answer(ask, request, lambda: _record(ask, request, podcast))


def _record(ask: Ask, request: Request, podcast: str) -> Made:
    sight = sight_of(ask)
    found = podcast_of(ask, sight, podcast)
    record = ask.core.catalogue.latest.podcast(found.podcast_key)
    is_whole = sight.is_whole(found.podcast_key)
    labels = sorted({label for each in sight.trackings(found) for label in each.labels})
    said = {
        "podcast_key": str(found.podcast_key),
        "show_id": found.show_id,
        "itunes_id": found.itunes_id,
        "podcastindex_id": found.podcastindex_id,
        "state": str(found.state),
        "reason": found.reason if found.state in _REASONED else None,
        "labels": labels,
        "record": None if record is None else told.podcast(record, is_whole),
    }
    return Made(record_answer(request, said), [found.podcast_key])


@router.get(
    "/podcasts/{podcast}/history",
    responses=listed(HistoryRow, 409),
    summary="How a podcast's fields changed",
)
def get_history(
    ask: AskTable,
    request: Request,
    place: PlaceAsked,
    podcast: PodcastPath,
    field: Annotated[str | None, Query(max_length=100, description="such as title; default: all")] = None,
    episode_key: Annotated[
        str | None, Query(max_length=20, description="of this episode; default: of the podcast itself")
    ] = None,
    with_minor: Annotated[bool, Query(description="also what is nothing to wake anybody for")] = True,
) -> Response:
    """The newest first, a row a field and change. `fct_metadata_changes` in the marts has the same."""
    sight = sight_of(ask)
    found = podcast_of(ask, sight, podcast)
    key = found.podcast_key
    if field is not None and field not in FIELDS:
        raise bad_parameter("field", f"there is no such field; there are {', '.join(FIELDS)}")
    episode = None if episode_key is None else key_in(episode_key)
    if episode_key is not None and episode is None:
        raise bad_parameter("episode_key", "not a whole number of 64 bits")
    before = None if place.after is None else (int(place.after[0]), str(place.after[1]))
    asked = Asked(key, field, episode, with_minor=with_minor)
    of = None if sight.is_whole(key) else told.SHOWN_FIELDS
    rows = history(
        ask.core.catalogue.lake_root,
        ask.edition,
        asked,
        place.limit + 1,
        before,
        sight.since_us(found),
    )
    last = rows[place.limit - 1] if len(rows) > place.limit else None
    cursor = None if last is None else place.cursor([last["sequence"], last["field"] or ""])
    shown = [row for row in rows[: place.limit] if of is None or row["field"] is None or row["field"] in of]
    return rows_answer(ask, request, list(HistoryRow.model_fields), shown, cursor)


def podcast_rows(
    records: Mapping[int, Record], found: Sequence[Podcast], sight: Sight
) -> list[dict[str, Any]]:
    """PodcastRow of each."""
    rows = []
    for podcast in found:
        record = records.get(podcast.podcast_key, {})
        rows.append(
            {
                "podcast_key": str(podcast.podcast_key),
                "podcast_guid": podcast.podcast_guid,
                "show_id": podcast.show_id,
                "itunes_id": podcast.itunes_id,
                "podcastindex_id": podcast.podcastindex_id,
                "feed_url": podcast.feed_url if sight.is_whole(podcast.podcast_key) else None,
                "title": record.get("title"),
                "author": record.get("author"),
                "image_url": record.get("image_url"),
                "episode_count": record.get("episode_count"),
                "newest_at": told.instant(record.get("newest_us")),
                "changed_at": told.instant(record.get("changed_us")),
                "state": str(podcast.state),
            }
        )
    return rows
