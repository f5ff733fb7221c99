"""What the parser says of a feed: the shapes between parse.py and detect.py."""

from __future__ import annotations

from dataclasses import dataclass

from ingest.feeds.schema import Record


@dataclass(frozen=True)
class Known:
    """What an earlier parse saw (an ITEMS row): the parser skips the items whose hash is known."""

    header_hash: int
    item_hashes: frozenset[int]


@dataclass(frozen=True)
class ParsedItem:
    """One item: the hash of its text and its record, the columns of EPISODE_CONTENT."""

    item_hash: int
    content: Record


@dataclass(frozen=True)
class ParsedFeed:
    """A feed that could be read. `items` holds all items (whole) or those that are not known (delta)."""

    method: str  # delta | whole
    header_hash: int  # of the document without its items
    content: Record  # the columns of PODCAST_CONTENT; the header is always parsed
    item_hashes: list[int]  # of all items, in document order, the first of equal ones only
    items: list[ParsedItem]  # in document order
    audit: bool | None  # None: not audited; True: the delta equals the whole parse; False: it did not
