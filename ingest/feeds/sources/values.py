"""What sources yield: hints that a podcast has news, and the ids that a directory knows it by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from ingest.feeds.urls import BadFeedUrl, feed_url, normal_guid, podcast_key

_MAX_ID = 2**63 - 1
_MAX_TEXT = 500
_MAX_GUID = 200


class News(StrEnum):
    """What a notice says has happened."""

    UPDATE = "update"  # something changed; also every reason that is not known here
    LIVE = "live"  # a liveItem began
    LIVE_END = "live_end"


@dataclass(frozen=True, slots=True)
class Hint:
    """A podcast has news. It is named by its key, or only by its number in the Podcast Index."""

    podcast_key: int | None
    feed_url: str | None  # normalised
    source: str
    noticed_us: int  # never later than when it was read
    news: News = News.UPDATE
    podcastindex_id: int | None = None
    file: str = ""  # of a notice file: its name, and the line, from 1
    line: int = 0


def hint(url: str | None, source: str, noticed_us: int, podcastindex_id: int | None = None) -> Hint:
    """Of a directory: `url` normalised, if it is known."""
    key = None if url is None else podcast_key(url)
    return Hint(key, url, source, noticed_us, podcastindex_id=podcastindex_id)


@dataclass(frozen=True, slots=True)
class Ids:
    """What a directory says of one podcast; None: it says nothing, or nothing usable."""

    source: str
    feed_url: str | None = None  # normalised
    podcast_guid: str | None = None
    itunes_id: int | None = None
    podcastindex_id: int | None = None
    new_url: str | None = None  # where the directory says that it moved to
    title: str | None = None


def as_record(value: object) -> Mapping[str, object]:
    """`value`, if it is a JSON object; else one without members."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def as_id(value: object) -> int | None:
    """A positive 64-bit number, also as digits: Apple's and the Podcast Index's 0 stands for none."""
    if isinstance(value, str) and len(value) <= 19 and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 < value <= _MAX_ID else None


def as_url(value: object) -> str | None:
    """A normalised feed URL."""
    try:
        return feed_url(value) if isinstance(value, str) and value else None
    except BadFeedUrl:
        return None


def as_guid(value: object) -> str | None:
    """A podcast:guid; a UUID in its one written form, what is none as it is."""
    text = as_text(value)
    if text is None or len(text) > _MAX_GUID:
        return None
    return normal_guid(text)


def as_text(value: object) -> str | None:
    """The start of a printable text."""
    if not isinstance(value, str):
        return None
    text = value[: 4 * _MAX_TEXT].strip()[:_MAX_TEXT]
    return text if text.isprintable() and text else None
