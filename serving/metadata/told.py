"""How records and changes look outside: times written out, nested tags as JSON, keys as text.

Keys are text because JavaScript's numbers are too small for them. Who tracks a podcast is told all that its
feed says. Who may only see its show is told no address of feed or file, since a private one has a token. What
names a person (`OWNERS`) is told of changes only as changed, as in the mart `fct_metadata_changes`; where a
podcast was fetched before its reader began to track it is not told either.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from ingest.feeds.schema import EPISODES, PODCASTS, Record, canonical_json

OWNERS = frozenset({"owner_name", "owner_email", "locked_owner"})
ADDRESSES = frozenset({"feed_url", "original_url"})
KEYS = frozenset({"podcast_key", "episode_key"})
_NESTED = frozenset({"images", "podcast_tags", "transcripts", "alternate_enclosures"})
# Ours, not the feed's. The URL as first registered may be another tenant's.
_INNER = frozenset({"original_url", "record_hash", "generation"})
# Of podcasts and episodes whose show somebody may see without tracking them.
SHOWN_PODCAST = (
    "podcast_key", "podcast_guid", "title", "subtitle", "description_html", "description", "link", "language",
    "copyright", "author", "image_url", "categories", "keywords", "is_explicit", "show_type", "is_complete",
    "medium", "license", "episode_count", "newest_us", "oldest_us", "changed_us",
)  # fmt: skip
SHOWN_EPISODE = (
    "podcast_key", "episode_key", "guid", "title", "itunes_title", "subtitle", "published_us",
    "description_html", "description", "author", "duration_s", "is_explicit", "episode_type", "season",
    "season_name", "episode", "image_url", "first_seen_us", "changed_us", "last_seen_us", "removed_us",
)  # fmt: skip
SHOWN_FIELDS = frozenset((*SHOWN_PODCAST, *SHOWN_EPISODE)) - OWNERS
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BEFORE_AT = re.compile(r"[A-Za-z0-9._%+-]+@")  # as dbt_project/macros/dialect.sql has it


def podcast(row: Record, is_whole: bool) -> dict[str, Any]:
    """A PODCASTS row, as the API tells it; `is_whole`: to who tracks it."""
    names = [name for name in PODCASTS if name not in _INNER] if is_whole else SHOWN_PODCAST
    return {_name(name): value_told(name, row.get(name)) for name in names}


def episode(row: Record, is_whole: bool) -> dict[str, Any]:
    """An EPISODES row, alike."""
    names = [name for name in EPISODES if name not in _INNER] if is_whole else SHOWN_EPISODE
    return {_name(name): value_told(name, row.get(name)) for name in names}


def listed(row: Mapping[str, Any]) -> dict[str, Any]:
    """Some columns of either, alike."""
    return {_name(name): value_told(name, value) for name, value in row.items()}


def value_told(name: str, value: Any) -> Any:
    """A column's value: RFC 3339 for an instant, text for a key, JSON for nested tags."""
    if value is None:
        return None
    if name in KEYS:
        return str(value)
    if name.endswith("_us"):
        return instant(value)
    if name in _NESTED and isinstance(value, str):
        return orjson.loads(value)
    return value


def _name(name: str) -> str:
    return f"{name.removesuffix('_us')}_at" if name.endswith("_us") else name


def instant(at_us: int | None) -> str | None:
    """RFC 3339, UTC, with microseconds; null where a feed's clock cannot be written."""
    if at_us is None:
        return None
    try:
        return f"{_EPOCH + timedelta(microseconds=at_us):%Y-%m-%dT%H:%M:%S.%f}Z"
    except OverflowError:
        return None


def field_values(field: str, old: Any, new: Any, hides_address: bool) -> tuple[Any, Any]:
    """(old, new) of a changed field as they may be told."""
    if field in OWNERS or (hides_address and field in ADDRESSES):
        return None, None
    return _without_emails(old), _without_emails(new)


def as_text(value: Any) -> str | None:
    """A value as the marts write it: text as it is, anything else as JSON."""
    return value if value is None or isinstance(value, str) else canonical_json(value)


def _without_emails(value: Any) -> Any:
    if isinstance(value, str):
        return _BEFORE_AT.sub("***@", value) if "@" in value else value
    if isinstance(value, list):
        return [_without_emails(one) for one in value]
    return value
