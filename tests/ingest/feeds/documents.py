"""Feed documents for the tests, and how they are parsed there."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ingest.feeds.parse import parse_feed
from ingest.feeds.parsed import Known, ParsedFeed

GOLDEN = Path(__file__).parent / "golden"
URL = "https://show.example/feed.xml"
NOW_US = int(datetime(2026, 7, 10, tzinfo=UTC).timestamp()) * 1_000_000

OPENING = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<rss version="2.0" xmlns:itunes="http://www.itunes.com/dtds/podcast-1.0.dtd"'
    ' xmlns:podcast="https://podcastindex.org/namespace/1.0"'
    ' xmlns:content="http://purl.org/rss/1.0/modules/content/"'
    ' xmlns:atom="http://www.w3.org/2005/Atom" xmlns:media="http://search.yahoo.com/mrss/">\n<channel>'
)
CLOSING = "\n</channel>\n</rss>\n"


def item(inner: str = "", number: int = 1) -> str:
    return f"<item><title>Episode {number}</title><guid>guid-{number}</guid>{inner}</item>"


def feed(items: Iterable[str] = (), channel: str = "", opening: str = OPENING) -> bytes:
    return "\n".join([opening, "<title>The Show</title>", channel, *items, CLOSING]).encode()


def parse(body: bytes, known: ParsedFeed | None = None, **options: Any) -> ParsedFeed:
    """Whole, or as a delta to an earlier parse."""
    before = Known(known.header_hash, frozenset(known.item_hashes)) if known else None
    return parse_feed(body, URL, options.pop("content_type", None), before, now_us=NOW_US, **options)


def channel_of(inner: str) -> dict[str, Any]:
    """The record of a podcast whose channel says `inner`."""
    return parse(feed(channel=inner)).content


def episode_of(inner: str) -> dict[str, Any]:
    """The record of an episode whose item says `inner` and nothing else."""
    (found,) = parse(feed([f"<item>{inner}</item>"])).items
    return found.content
