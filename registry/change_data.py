"""What an event says of a change: whom it is about, and its fields before and after, never without bound."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NotRequired, TypedDict

import orjson
import xxhash

from ingest.feeds.diff import MINOR, MINOR_BESIDE, field_changes
from ingest.feeds.schema import Record, canonical_json
from ingest.schema import Schema

# A message holds 20 kB: of a value more than this is never told.
MAX_VALUE_BYTES = 16_000
MAX_CHANGES_BYTES = 64_000  # of all values together, of feeds that are huge throughout
MAX_NAME_BYTES = 2_000  # of titles, guids and URLs beside the changes

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Minor for some values only: their old and new values are to be looked at.
_PERHAPS_MINOR = frozenset((*MINOR_BESIDE, "content_html"))


class PodcastData(TypedDict):
    """The podcast as the lake and the registry know it now."""

    guid: str | None
    feed_url: str | None
    title: str | None


class EpisodeData(TypedDict):
    """The episode as the lake knows it now."""

    key: str  # decimal
    guid: str | None
    title: str | None
    enclosure_url: str | None
    published: str | None  # RFC 3339, UTC, with microseconds


class FieldData(TypedDict):
    """One field before and after. A value that was cut is a text that ends in its length and hash: it differs
    from another one where the whole values do.
    """

    field: str
    old: Any
    new: Any
    is_shortened: NotRequired[bool]  # there where old or new was cut


class ChangeData(TypedDict):
    """`outbox.data`: what an event says of a change beside the outbox's own columns."""

    podcast: PodcastData
    episode: EpisodeData | None  # None: of the podcast itself
    changes: list[FieldData]  # sorted by field
    is_minor: bool
    minor_fields: list[str]  # those of `changes` that are no event by themselves


def podcast_data(guid: str | None, feed_url: str | None, title: str | None) -> PodcastData:
    return {"guid": _whole(guid), "feed_url": _whole(feed_url), "title": _cut_name(title)}


def episode_data(episode_key: int, guid: str | None, row: Record | None) -> EpisodeData:
    """Of a change's key and guid and, where the lake has it, the EPISODES row."""
    row = row or {}
    return {
        "key": str(episode_key),
        "guid": _whole(guid),
        "title": _cut_name(row.get("title")),
        "enclosure_url": _whole(row.get("enclosure_url")),
        "published": _timestamp(row.get("published_us")),
    }


def field_data(fields: str) -> list[FieldData]:
    """`CHANGES.fields`, with values cut that are too large."""
    whole: list[FieldData] = orjson.loads(fields)
    told = [_shortened(one, MAX_VALUE_BYTES) for one in whole]
    if len(fields) > MAX_CHANGES_BYTES and len(canonical_json(told).encode()) > MAX_CHANGES_BYTES:
        return [_shortened(one, MAX_CHANGES_BYTES // (2 * len(whole))) for one in whole]
    return told


def besides(fields: Sequence[FieldData]) -> set[str]:
    """The columns of the record that `minor_fields` has to know, too."""
    names = {one["field"] for one in fields}
    return {MINOR_BESIDE[name] for name in names & MINOR_BESIDE.keys()} - names


def minor_fields(
    fields: Sequence[FieldData], is_minor: bool, schema: Schema, row: Record | None
) -> list[str]:
    """The fields that are no event by themselves. `row`: the record now, with the columns of `besides`."""
    if is_minor:
        return [one["field"] for one in fields]
    minor = {one["field"] for one in fields if one["field"] in MINOR}
    doubtful = [one for one in fields if one["field"] in _PERHAPS_MINOR]
    if doubtful:
        old = (row or {}) | {one["field"]: one["old"] for one in fields}
        new = (row or {}) | {one["field"]: one["new"] for one in fields}
        judged = field_changes(old, new, {one["field"]: schema[one["field"]] for one in doubtful})
        minor |= {change.field for change in judged if change.is_minor}
    return sorted(minor)


def _shortened(one: FieldData, most: int) -> FieldData:
    old, new = _cut(one["old"], most), _cut(one["new"], most)
    if old is one["old"] and new is one["new"]:
        return one
    return {"field": one["field"], "old": old, "new": new, "is_shortened": True}


def _cut(value: Any, most: int) -> Any:
    """The value itself, or a text of about `most` bytes."""
    if value is None or isinstance(value, int | float):
        return value
    text = value if isinstance(value, str) else canonical_json(value)
    if len(text) * 4 <= most:  # a character has four bytes at most
        return value
    raw = text.encode()
    if len(raw) <= most:
        return value
    head = raw[:most].decode(errors="ignore")
    return f"{head}… ({len(raw)} bytes, xxh3 {xxhash.xxh3_64_hexdigest(raw)})"


def _cut_name(text: str | None) -> str | None:
    if text is None or len(text.encode()) <= MAX_NAME_BYTES:
        return text
    return text.encode()[:MAX_NAME_BYTES].decode(errors="ignore") + "…"


def _whole(text: str | None) -> str | None:
    """A part of a guid or URL would be another one."""
    return None if text is None or len(text.encode()) > MAX_NAME_BYTES else text


def _timestamp(instant_us: int | None) -> str | None:
    if instant_us is None:
        return None
    return f"{_EPOCH + timedelta(microseconds=instant_us):%Y-%m-%dT%H:%M:%S.%f}Z"
