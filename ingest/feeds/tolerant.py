"""A piece of a feed read by two parsers: feedparser for RSS and Atom, lxml for itunes: and podcast: tags.

feedparser sees a document from which everything else is taken out: podcast:liveItem would overwrite the
channel's title, itunes:owner its author, media:title the title of an item (UPDATES §2). What is no XML even
after repair feedparser reads as it stands, with its loose parser, and lxml recovers the tags it can.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import feedparser
from lxml import etree

from ingest.feeds.namespace import FOR_FEEDPARSER, Tags, Vocabulary, tree, word
from ingest.feeds.reasons import FeedUnreadable, Reason
from ingest.feeds.repair import repaired, tamed, without_endless_words

BATCH = 500  # items read at once: what they take in memory is a tree and feedparser's copy of these
MAX_LOOSE_BYTES = 1_000_000  # the loose parser needs up to 5 s for these; larger ruins are not read

# It looks for a parser that nobody has, on the disk, at every call; expat is what it then takes.
feedparser.api.PREFERRED_XML_PARSERS.clear()

# Who made it; feedparser looks for an e-mail address in these.
_PEOPLE = frozenset(["author", "creator", "managingeditor"])
# What standardize takes from feedparser, and what contains it.
_READ = _PEOPLE | frozenset(
    [
        "channel", "content", "copyright", "created", "date", "description", "enclosure", "encoded", "entry",
        "generator", "guid", "id", "image", "issued", "item", "language", "lastbuilddate", "link", "modified",
        "pubdate", "published", "rights", "subtitle", "summary", "tagline", "title", "ttl", "updated",
    ]
)  # fmt: skip
# Of these only what items say is taken. What the channel says would change how feedparser reads on: after its
# content it takes the second description of the first item for another thing, as if that had some.
_OF_ITEMS = frozenset(["content", "encoded", "summary"])
_HEADERS = {"content-type": "application/xml; charset=utf-8"}
_LIVE_ITEM = re.compile(rb"<podcast:liveItem\b.*?(?:</podcast:liveItem\s*>|\Z)", re.DOTALL | re.IGNORECASE)
_ITEM_NAMES = frozenset(["item", "entry"])


@dataclass(frozen=True)
class Reading:
    """What a piece of a feed says. `entries` and `entry_tags` go together."""

    feed: dict[str, Any]
    feed_tags: Tags
    entries: list[dict[str, Any]]
    entry_tags: list[Tags]


def read(xml: bytes) -> Reading:
    """Read a document from its root element on, UTF-8. Raises FeedUnreadable (NOT_A_FEED)."""
    reading = read_strictly(xml) or read_strictly(repaired(xml))
    return reading if reading is not None else _read_loosely(xml)


def read_strictly(xml: bytes) -> Reading | None:
    """None where it is no well-formed XML, or where the parsers disagree on the number of items."""
    root = tree(xml)
    if root is None:
        return None
    channel, items = _parts(root)
    feed_tags, entry_tags = Tags(channel), [Tags(item) for item in items]
    around = [root] if channel is None else [root, channel]
    for element, names in [*((one, _READ - _OF_ITEMS) for one in around), *((one, _READ) for one in items)]:
        for child in list(element):
            if not isinstance(child.tag, str):
                continue
            vocabulary, name = word(child.tag)
            name = name.lower()
            if vocabulary not in FOR_FEEDPARSER or name not in names:
                element.remove(child)
            elif name in _PEOPLE and child.text:
                child.text = without_endless_words(child.text)
    found = _feedparser(etree.tostring(root, encoding="utf-8"))
    if len(found.entries) != len(items):
        return None
    return Reading(found.feed, feed_tags, found.entries, entry_tags)


def read_items(
    items: Sequence[bytes], opening: bytes, closing: bytes
) -> list[tuple[dict[str, Any], Tags]] | None:
    """(feedparser's entry, tags) of each `<item>…</item>` between the tags around them.

    A broken item is repaired or read by itself, so that what is said of an item depends on it alone. None
    where a parser finds more or less than one item in one. Raises FeedUnreadable (NOT_A_FEED).
    """
    found: list[tuple[dict[str, Any], Tags]] = []
    loose_bytes = 0
    for first in range(0, len(items), BATCH):
        some = items[first : first + BATCH]
        together = _read_together(some, opening, closing)
        if together is None:
            sound = [_sound(item, opening, closing) for item in some]
            together = _read_together([item for item in sound if item is not None], opening, closing)
            if together is None:
                return None
            strict = iter(together)
            together = []
            for item, good in zip(some, sound, strict=True):
                if good is not None:
                    together.append(next(strict))
                    continue
                loose_bytes += len(item)
                if loose_bytes > MAX_LOOSE_BYTES:
                    raise FeedUnreadable(Reason.NOT_A_FEED, "too much of it is no well-formed XML")
                alone = _read_loosely(opening + item + closing)
                if len(alone.entries) != 1:
                    return None
                together += zip(alone.entries, alone.entry_tags, strict=True)
        found += together
    return found


def _read_together(
    items: Sequence[bytes], opening: bytes, closing: bytes
) -> list[tuple[dict[str, Any], Tags]] | None:
    """As `read_items`; None where one of them is broken."""
    if not items:
        return []
    reading = read_strictly(b"".join([opening, *items, closing]))
    if reading is None or len(reading.entries) != len(items):
        return None
    return list(zip(reading.entries, reading.entry_tags, strict=True))


def _sound(item: bytes, opening: bytes, closing: bytes) -> bytes | None:
    """The item as well-formed XML, if need be and if possible repaired."""
    for candidate in (item, repaired(item)):
        root = tree(opening + candidate + closing)
        if root is not None:
            return candidate if len(_parts(root)[1]) == 1 else None
    return None


def _read_loosely(xml: bytes) -> Reading:
    if len(xml) > MAX_LOOSE_BYTES:
        raise FeedUnreadable(Reason.NOT_A_FEED, f"no well-formed XML, and {len(xml):,} bytes of it")
    found = _feedparser(_LIVE_ITEM.sub(b"", tamed(xml)))
    root = tree(repaired(xml), recover=True)
    channel, items = _parts(root) if root is not None else (None, [])
    if len(items) != len(found.entries):  # which tag is whose cannot be told
        items = [None] * len(found.entries)
    return Reading(found.feed, Tags(channel), found.entries, [Tags(item) for item in items])


def _feedparser(xml: bytes) -> Any:
    try:
        return feedparser.parse(
            io.BytesIO(xml), response_headers=_HEADERS, sanitize_html=False, resolve_relative_uris=False
        )
    except Exception as error:  # whatever a hostile document makes of a parser in Python
        raise FeedUnreadable(
            Reason.NOT_A_FEED, f"feedparser: {type(error).__name__}: {error}"[:300]
        ) from error


def _parts(root: etree._Element) -> tuple[etree._Element | None, list[etree._Element]]:
    """(the channel, its items) of RSS, RDF and Atom."""
    children = [child for child in root if isinstance(child.tag, str)]
    channel = next((child for child in children if _is_of_feed(child, "channel")), None)
    if channel is None and _is_of_feed(root, "feed"):
        return root, [child for child in children if _is_item(child)]
    inside = [child for child in channel if isinstance(child.tag, str)] if channel is not None else []
    return channel, [child for child in (*inside, *children) if _is_item(child)]


def _is_item(element: etree._Element) -> bool:
    return word(element.tag)[1].lower() in _ITEM_NAMES and word(element.tag)[0] in FOR_FEEDPARSER


def _is_of_feed(element: etree._Element, name: str) -> bool:
    vocabulary, local = word(element.tag)
    return local.lower() == name and vocabulary in (Vocabulary.RSS, Vocabulary.ATOM)
