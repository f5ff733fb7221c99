"""GET …/episodes: the episodes of a podcast, one of them, and finding one among all podcasts."""

from __future__ import annotations

from typing import Annotated, Any

import polars as pl
from fastapi import Query, Request
from starlette.responses import Response

from ingest.feeds.schema import Record
from registry.visible import Named, find_among
from serving.api.answers import problems
from serving.api.metadata.answers import PlaceAsked, listed, record_answer, rows_answer
from serving.api.metadata.naming import EpisodePath, PodcastPath, key_in, podcast_of, writable
from serving.api.metadata.shapes import EpisodeRecord, EpisodeRow
from serving.api.metadata.sight import Sight, no_such, sight_of
from serving.api.problems import Problem, bad_parameter
from serving.api.routing import Router
from serving.api.visit import Ask, AskTable, Visit
from serving.metadata import told
from serving.metadata.search import NoIndex

router = Router(prefix="/v1", tags=["metadata"])

Guid = Annotated[str | None, Query(max_length=2000, description="as the feed has it now")]
Enclosure = Annotated[
    str | None, Query(max_length=4096, description="any URL it ever had; prefixes and tokens do not matter")
]


@router.get(
    "/podcasts/{podcast}/episodes", responses=listed(EpisodeRow, 409), summary="Episodes of a podcast"
)
def list_episodes(
    ask: AskTable,
    request: Request,
    place: PlaceAsked,
    podcast: PodcastPath,
    guid: Guid = None,
    enclosure_url: Enclosure = None,
    with_removed: Annotated[bool, Query(description="also those that were taken out")] = False,
) -> Response:
    """The newest first; also those that have left the feed because newer ones pushed them out."""
    sight, catalogue = sight_of(ask), ask.core.catalogue
    key = podcast_of(ask, sight, podcast).podcast_key
    rows = catalogue.latest.episodes(key)
    if guid is not None or enclosure_url is not None:
        canonical = None if enclosure_url is None else _canonical(ask, enclosure_url)
        named = catalogue.latest.keys_of(key, None if guid is None else writable("guid", guid), canonical)
        rows = rows.filter(pl.col("episode_key").is_in(named))
    if not with_removed:
        rows = rows.filter(pl.col("removed_us").is_null())
    if place.after is not None:
        rows = _behind(rows, *place.after)
    shown = [_row(key, row, sight) for row in rows.head(place.limit).iter_rows(named=True)]
    cursor = None
    if rows.height > place.limit:
        last = rows.row(place.limit - 1, named=True)
        cursor = place.cursor([last["published_us"], last["episode_key"]])
    return rows_answer(ask, request, list(EpisodeRow.model_fields), shown, cursor)


@router.get(
    "/podcasts/{podcast}/episodes/{episode}",
    response_model=EpisodeRecord,
    responses=problems(404, 409),
    summary="The latest record of an episode",
)
def get_episode(ask: Ask, request: Request, podcast: PodcastPath, episode: EpisodePath) -> Response:
    """As of the last sweep, with an ETag; of one that has left the feed the last there was."""
    sight = sight_of(ask)
    key = podcast_of(ask, sight, podcast).podcast_key
    number = key_in(episode)
    found = None if number is None else ask.core.catalogue.latest.episode(key, number)
    if found is None:
        raise no_such("episode", "episode")
    return record_answer(request, told.episode(found, sight.is_whole(key)))


@router.get("/episodes", responses=listed(EpisodeRow, 503), summary="Episodes, by what names them")
def find_episodes(
    ask: AskTable,
    request: Request,
    guid: Guid = None,
    enclosure_url: Enclosure = None,
    episode_key: Annotated[str | None, Query(max_length=20, description="as lists have it")] = None,
) -> Response:
    """Among all podcasts that you may see: by guid, by any enclosure it ever had, or by key.

    Found by an index that is brought up to date after sweeps; the record is that of now.
    """
    given = [name for name in (guid, enclosure_url, episode_key) if name is not None]
    if len(given) != 1:
        raise bad_parameter("guid", "name one of guid, enclosure_url, episode_key")
    key = None if episode_key is None else key_in(episode_key)
    if episode_key is not None and key is None:
        raise bad_parameter("episode_key", "not a whole number of 64 bits")
    canonical = None if enclosure_url is None else _canonical(ask, enclosure_url)
    wanted = None if guid is None else writable("guid", guid)
    sight, catalogue = sight_of(ask), ask.core.catalogue
    try:
        candidates = catalogue.search.episodes(wanted if canonical is None else canonical, key)
    except NoIndex as error:
        if not catalogue.is_empty:
            raise no_index(error) from None
        candidates = []
    seen = set(sight.among(podcast for podcast, _ in candidates))
    rows = []
    for podcast_key, number in candidates:
        if podcast_key in seen and _is_tracked(ask, sight, podcast_key):
            record = catalogue.latest.episode(podcast_key, number)
            if record is not None and _is_it(record, wanted, canonical):
                rows.append(_row(podcast_key, record, sight))
    return rows_answer(ask, request, list(EpisodeRow.model_fields), rows, None)


def no_index(error: NoIndex) -> Problem:
    return Problem(503, "There is no index yet", str(error), headers={"retry-after": "60"})


def _is_tracked(ask: Visit, sight: Sight, podcast_key: int) -> bool:
    """What nobody tracks any more is not told to who may see all."""
    return sight.keys is not None or bool(find_among(ask.core.engine, Named(podcast_key=podcast_key), None))


def _is_it(record: Record, guid: str | None, canonical: str | None) -> bool:
    """The index keeps what an episode was called before, and hashes."""
    if guid is not None:
        return bool(record["guid"] == guid)
    return canonical is None or canonical in (record["enclosure_urls"] or ())


def _canonical(ask: Visit, url: str) -> str:
    return ask.core.catalogue.canonical(writable("enclosure_url", url))


def _behind(rows: pl.DataFrame, published_us: int | None, episode_key: int) -> pl.DataFrame:
    """Those that come after such a one: newest first, without a date last, then by key."""
    published, is_later_key = pl.col("published_us"), pl.col("episode_key") > episode_key
    if published_us is None:
        return rows.filter(published.is_null() & is_later_key)
    is_behind = published.is_null() | (published < published_us)
    return rows.filter(is_behind | ((published == published_us) & is_later_key))


def _row(podcast_key: int, row: Record, sight: Sight) -> dict[str, Any]:
    said = told.listed({name: row.get(name) for name in _COLUMNS})
    if not sight.is_whole(podcast_key):
        said["enclosure_url"] = None
    return {"podcast_key": str(podcast_key), **said}


_COLUMNS = (
    "episode_key", "guid", "title", "published_us", "duration_s", "enclosure_url", "episode_type", "season",
    "episode", "last_seen_us", "removed_us",
)  # fmt: skip
