"""GET /v1/changes: what changed in the podcasts you track, since a cursor; each change once."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

import orjson
from fastapi import Query
from starlette.responses import Response

from ingest.feeds.schema import ChangeType, Record
from ingest.lake import utc_now_us
from ingest.schema import DAY_US
from registry.api_keys import Scope
from registry.visible import Named, find_among
from serving.api.answers import plain_answer, problems
from serving.api.caller import Caller
from serving.api.metadata.shapes import Changes
from serving.api.metadata.sight import Sight, sight_of
from serving.api.problems import bad_parameter
from serving.api.routing import Router
from serving.api.visit import Ask, Visit, needs
from serving.metadata.changes import MAX_CURSOR_CHARS, BadCursor, Cursor, read
from serving.metadata.told import field_values, instant

router = Router(prefix="/v1", tags=["metadata"])

_DEFAULT_US = DAY_US  # without cursor and time: the last day
_MAX_YEARS = 2


@router.get(
    "/changes", response_model=Changes, responses=problems(401, 403), summary="What changed, since a cursor"
)
def list_changes(
    ask: Ask,
    _: Annotated[Caller, needs(Scope.READ)],
    cursor: Annotated[
        str | None, Query(max_length=MAX_CURSOR_CHARS, description="of the answer before, however old")
    ] = None,
    since: Annotated[
        datetime | None,
        Query(description="without a cursor: detected since then; default: the last 24 hours"),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="changes of a page")] = 100,
    type: Annotated[list[ChangeType] | None, Query(description="only these; may be repeated")] = None,
    with_minor: Annotated[bool, Query(description="also what is nothing to wake anybody for")] = False,
) -> Response:
    """Keep the cursor of each answer, also of an empty one, and go on with it: no change is missed and none
    comes twice. A podcast's changes come in their sequence. A page may have fewer rows than asked for, or
    none, and `has_more`.
    """
    sight = sight_of(ask)
    start = _start(cursor, since)
    types = {str(one) for one in type or ()}
    page = read(ask.core.catalogue.lake_root, start, limit, sight.whole, types, with_minor)
    since_us = _known_since(ask, sight, page.changes)
    said = {
        "data": [_told(row, since_us.get(row["podcast_key"])) for row in page.changes],
        "cursor": page.cursor.text(),
        "has_more": page.has_more,
    }
    return plain_answer(said)


def _start(cursor: str | None, since: datetime | None) -> Cursor:
    """Raises Problem."""
    if cursor is not None:
        if since is not None:
            raise bad_parameter("since", "the cursor says where to go on: leave it out")
        try:
            return Cursor.of(cursor)
        except BadCursor as error:
            raise bad_parameter("cursor", str(error)) from None
    now_us = utc_now_us()
    if since is None:
        return Cursor(since_us=now_us - _DEFAULT_US)
    if since.tzinfo is None:
        raise bad_parameter("since", "it names no time zone: write 2026-11-29T00:00:00Z")
    at_us = (since - _EPOCH) // timedelta(microseconds=1)
    if at_us < now_us - _MAX_YEARS * 366 * DAY_US:
        raise bad_parameter("since", f"more than {_MAX_YEARS} years ago")
    return Cursor(since_us=at_us)


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def _known_since(ask: Visit, sight: Sight, rows: list[Record]) -> dict[int, int | None]:
    """podcast_key → since when the caller is told its addresses."""
    if sight.is_operator:
        return {}
    keys = {row["podcast_key"] for row in rows}
    found = find_among(ask.core.engine, Named(), frozenset(keys), limit=len(keys))
    since = {podcast.podcast_key: sight.since_us(podcast) for podcast in found}
    return {key: since.get(key, 2**62) for key in keys}


def _told(row: Record, since_us: int | None) -> dict[str, Any]:
    hides = since_us is not None and row["detected_us"] < since_us
    fields = []
    for one in orjson.loads(row["fields"] or "[]"):
        old, new = field_values(one["field"], one["old"], one["new"], hides)
        fields.append({"field": one["field"], "old": old, "new": new})
    return {
        "podcast_key": str(row["podcast_key"]),
        "sequence": row["sequence"],
        "detected_at": instant(row["detected_us"]),
        "change": row["change"],
        "episode_key": None if row["episode_key"] is None else str(row["episode_key"]),
        "episode_guid": row["guid"],
        "is_minor": row["is_minor"],
        "fields": fields,
    }
