"""Which fields of a record changed, and which of these changes matter to anybody (UPDATES §3).

What a field says (`essence`) leaves out what is volatile or minor. A record's hash and a change's `is_minor`
both come from it, so they cannot disagree.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import xxhash

from ingest.feeds.schema import PODCAST_CONTENT, Record, canonical_json
from ingest.schema import Schema

# Fields of the podcast that the record follows without a change row.
VOLATILE: dict[str, str] = {
    "last_build_us": "many servers write the time of the request",
    "published_us": "the channel's date; many servers write the time of the request, episodes have their own",
    "ttl_min": "advice to pollers; some servers count it down",
}

# Recorded, but no event by default, whatever they change to.
MINOR: dict[str, str] = {
    "guid_source": "how we found the guid; the guid itself is compared",
    "published_raw": "the text beside published_us",
    "duration_raw": "the text beside duration_s",
    "language_raw": "the text beside language",
    "categories_raw": "the text beside categories",
    "enclosure_bytes": "inserted advertisements change the length at every fetch",
    "generator": "carries a version; worth its history, since it names the hosting software",
    "copyright": "carries the year: every podcast would change at New Year",
    "skip_hours": "advice to pollers",
    "skip_days": "advice to pollers",
    "hub_url": "plumbing of the feed",
    "self_url": "plumbing of the feed; differs between edge servers",
    "next_page_url": "plumbing of the feed",
    "uses_podping": "plumbing of the feed",
}

# Minor as long as the other field, which says the same in a form that can be compared, is there and equal.
MINOR_BESIDE: dict[str, str] = {
    "enclosure_url": "enclosure_canonical",  # tokens and prefixes
    "description_html": "description",  # markup and tracked links
}

_MARKUP = re.compile(r"<[^<>]*>")


@dataclass(frozen=True)
class FieldChange:
    """One field of a record, before and after. Null and the empty list are the same, told as null."""

    field: str
    old: object
    new: object
    is_minor: bool


def field_changes(old: Record, new: Record, fields: Schema) -> list[FieldChange]:
    """What changed from `old` to `new` in these fields, volatile ones left out, sorted by field."""
    changed = [
        name for name in fields if not _is_volatile(name, fields) and _said(old, name) != _said(new, name)
    ]
    if not changed:
        return []
    before, after = essence(old, fields), essence(new, fields)
    return [
        FieldChange(name, _said(old, name), _said(new, name), before.get(name) == after.get(name))
        for name in sorted(changed)
    ]


def is_equal(old: Record, new: Record) -> bool:
    """Whether nothing in `new` differs from `old`, not even what is volatile."""
    return all(_said(old, name) == _said(new, name) for name in new)


def essence(record: Record, fields: Schema) -> Record:
    """What the record says: the fields that are neither null, volatile nor minor."""
    said: Record = {}
    for name in fields:
        value = _said(record, name)
        if value is None or name in MINOR or _is_volatile(name, fields):
            continue
        if name in MINOR_BESIDE and record.get(MINOR_BESIDE[name]) is not None:
            continue
        # content:encoded has no text column beside it; its markup changes as that of the description does.
        said[name] = " ".join(_MARKUP.sub(" ", str(value)).split()) if name == "content_html" else value
    return said


def record_hash(record: Record, fields: Schema) -> int:
    """Signed xxh3-64 of the essence: equal for records that differ only in what is volatile or minor."""
    said = {
        # 3600 as parsed and 3600.0 as read from a Float64 column are one value
        name: float(value) if isinstance(value, int) and not isinstance(value, bool) else value
        for name, value in essence(record, fields).items()
    }
    hashed = xxhash.xxh3_64_intdigest(canonical_json(said).encode())
    return hashed - (1 << 64) if hashed >> 63 else hashed


def fields_json(changes: Sequence[FieldChange]) -> str:
    """`CHANGES.fields`: [{"field", "old", "new"}], sorted by field."""
    return canonical_json(
        [
            {"field": change.field, "old": change.old, "new": change.new}
            for change in sorted(changes, key=lambda change: change.field)
        ]
    )


def _is_volatile(name: str, fields: Schema) -> bool:
    """Only the podcast has volatile fields: an episode's published_us is its own."""
    return name in VOLATILE and fields is PODCAST_CONTENT


def _said(record: Record, name: str) -> object:
    value = record.get(name)
    return None if value == [] else value
