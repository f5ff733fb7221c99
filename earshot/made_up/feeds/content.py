"""What a scripted feed says, as values: the channel, its items, its live items, and which fields differ.

Attributes have the names of ingest/feeds/schema.py, so a difference of two values is the change that the
product has to find. Nothing here uses the product's code. Instants: epoch microseconds, UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

# Told by podcast: tags and by columns of their own; the others are told by `podcast_tags` alone.
_WRITTEN_OTHERWISE = dict.fromkeys(("persons", "funding", "location", "live"), "podcast_tags")
_NOT_COMPARED = {"guid", "published_raw"}


@dataclass(frozen=True)
class Item:
    """An episode as its feed has it. `guid` None: the feed declares none."""

    guid: str | None
    title: str
    published_us: int | None
    description: str
    enclosure_canonical: str  # the URL without tokens; what is written may have one (`Style.tokens`)
    enclosure_bytes: int
    duration_s: float
    enclosure_type: str = "audio/mpeg"
    published_raw: str | None = None  # written instead of `published_us`, for dates nobody can read
    itunes_title: str | None = None
    subtitle: str | None = None
    link: str | None = None
    content_html: str | None = None
    author: str | None = None
    is_explicit: bool | None = None
    episode_type: str | None = None
    season: int | None = None
    episode: int | None = None
    image_url: str | None = None
    keywords: tuple[str, ...] = ()
    chapters_url: str | None = None
    transcripts: tuple[str, ...] = ()  # URLs of WebVTT files
    persons: tuple[str, ...] = ()

    @property
    def identity(self) -> str:
        """The guid, else what an item is known by without one: its enclosure (UPDATES §3)."""
        return self.guid if self.guid is not None else self.enclosure_canonical


@dataclass(frozen=True)
class LiveItem:
    """A `podcast:liveItem`."""

    guid: str
    title: str
    start_us: int
    status: str = "pending"  # pending | live | ended


@dataclass(frozen=True)
class Channel:
    """A podcast as its feed has it."""

    title: str
    description: str
    link: str
    podcast_guid: str | None = None  # declared, else the product derives one
    subtitle: str | None = None
    language: str | None = "en"
    copyright: str | None = None
    author: str | None = None
    owner_name: str | None = None
    owner_email: str | None = None
    image_url: str | None = None
    categories: tuple[str, ...] = ()  # Apple's, "Society & Culture > Documentary"
    is_explicit: bool | None = False
    show_type: str | None = None
    is_complete: bool | None = None
    medium: str | None = None
    is_locked: bool | None = None
    license: str | None = None
    update_frequency: str | None = None
    funding: str | None = None
    location: str | None = None
    announced_url: str | None = None  # itunes:new-feed-url
    live: tuple[LiveItem, ...] = ()


@dataclass(frozen=True)
class Feed:
    """A whole feed, newest item first."""

    channel: Channel
    items: tuple[Item, ...]

    def item(self, identity: str) -> Item:
        return next(item for item in self.items if item.identity == identity)


def taken_out(old: Sequence[Item], new: Sequence[Item], first_seen_us: Mapping[str, int]) -> list[Item]:
    """Those of `old` that are not in `new` and were inside the window; the others slid out (UPDATES §3).

    Inside is what is dated strictly newer than the oldest dated item of `new`, a date in the future counting
    as the instant the item was first seen; and what has no date to compare, when items before and after it
    in `old` are still there.
    """
    there = {item.identity for item in new}

    def dated(items: Sequence[Item]) -> dict[str, int]:
        return {
            item.identity: min(item.published_us, first_seen_us[item.identity])
            for item in items
            if item.published_us is not None
        }

    oldest = min(dated(new).values(), default=None)
    stayed = [place for place, item in enumerate(old) if item.identity in there]
    found = []
    for place, item in enumerate(old):
        when = dated([item]).get(item.identity)
        if item.identity in there:
            continue
        if when is not None and oldest is not None:
            is_inside = when > oldest
        else:
            is_inside = bool(stayed) and stayed[0] < place < stayed[-1]
        if is_inside:
            found.append(item)
    return found


def differences(old: Channel | Item, new: Channel | Item) -> frozenset[str]:
    """Fields of the product's record that differ."""
    return frozenset(
        _WRITTEN_OTHERWISE.get(name, name)
        for name in compared(type(old))
        if getattr(old, name) != getattr(new, name)
    )


def compared(kind: type[Any]) -> list[str]:
    """The attributes of a kind of value that make a change."""
    return [field.name for field in fields(kind) if field.name not in _NOT_COMPARED]
