"""A feed document read into records: header and changed items, or all of it (UPDATES §1).

Whole or delta, an item's record depends on its own bytes and on the opening tags alone, so both say the same.
A document that cannot be cut with certainty is read in one piece, and so is every audited one, to compare.
"""

from __future__ import annotations

from dataclasses import replace

import xxhash

from ingest.feeds.document import read_document
from ingest.feeds.identity import signed
from ingest.feeds.ladder import Cut, cut
from ingest.feeds.parsed import Known, ParsedFeed, ParsedItem
from ingest.feeds.reasons import FeedUnreadable, Reason
from ingest.feeds.schema import Record, canonical_json
from ingest.feeds.standardize import episode_content, podcast_content
from ingest.feeds.tolerant import Reading, read, read_items, read_strictly

DELTA, WHOLE = "delta", "whole"


def parse_feed(
    body: bytes,
    url: str,
    content_type: str | None,
    known: Known | None = None,
    audit: bool = False,
    now_us: int | None = None,
) -> ParsedFeed:
    """Read a decompressed body. Pure; `url` is the normalised feed URL, `now_us` ends the window of dates.

    Without `known` all items are read. An audit reads the document in one piece as well and compares; where
    they differ `audit` is false and the one piece counts. Raises FeedUnreadable.
    """
    document = read_document(body, content_type)
    pieces = cut(document)
    if pieces is None:
        return _in_one_piece(read(document.text), url, now_us)
    is_delta = known is not None and document.is_plain
    parsed = _in_pieces(pieces, known.item_hashes if known and is_delta else frozenset(), url, now_us)
    if parsed is None:
        return _in_one_piece(read(document.text), url, now_us)
    parsed = replace(parsed, method=DELTA if is_delta else WHOLE)
    return _audited(parsed, pieces, url, now_us) if audit else parsed


def _in_pieces(pieces: Cut, known: frozenset[int], url: str, now_us: int | None) -> ParsedFeed | None:
    """Header and the items that are not known; None where the parsers see other items than the cut."""
    distinct = dict(
        zip(reversed(pieces.item_hashes), reversed(pieces.items), strict=True)
    )  # first of equal ones
    hashes = list(dict.fromkeys(pieces.item_hashes))
    wanted = [hash_ for hash_ in hashes if hash_ not in known]
    header = read(pieces.opening + pieces.header)
    items = read_items([distinct[hash_] for hash_ in wanted], pieces.opening, pieces.closing)
    if header.entries or items is None:
        return None
    content = podcast_content(header.feed, header.feed_tags, url, now_us)
    _refuse_nothing(content, hashes)
    return ParsedFeed(
        method=DELTA,
        header_hash=pieces.header_hash,
        content=content,
        item_hashes=hashes,
        items=[
            ParsedItem(hash_, episode_content(entry, tags, url, now_us))
            for hash_, (entry, tags) in zip(wanted, items, strict=True)
        ],
        audit=None,
    )


def _in_one_piece(reading: Reading, url: str, now_us: int | None, pieces: Cut | None = None) -> ParsedFeed:
    """All of it; hashes are of the records, or those of `pieces` where these are as many."""
    content = podcast_content(reading.feed, reading.feed_tags, url, now_us)
    contents = [
        episode_content(entry, tags, url, now_us)
        for entry, tags in zip(reading.entries, reading.entry_tags, strict=True)
    ]
    if pieces is not None and len(pieces.items) == len(contents):
        header_hash, hashes = pieces.header_hash, pieces.item_hashes
    else:
        header_hash, hashes = _hash(content), [_hash(item) for item in contents]
    _refuse_nothing(content, hashes)
    first: dict[int, Record] = {}
    for hash_, item in zip(hashes, contents, strict=True):
        first.setdefault(hash_, item)
    items = [ParsedItem(hash_, item) for hash_, item in first.items()]
    return ParsedFeed(WHOLE, header_hash, content, list(first), items, audit=None)


def _audited(parsed: ParsedFeed, pieces: Cut, url: str, now_us: int | None) -> ParsedFeed:
    """`parsed` held against the document in one piece; where they differ that one, `audit` false.

    What is no well-formed XML reads otherwise in one piece, one broken item spoiling it for all: it is held
    against all of its items in pieces.
    """
    reading = read_strictly(pieces.in_one_piece())
    if reading is not None:
        whole = _in_one_piece(reading, url, now_us, pieces)
    else:
        whole = _in_pieces(pieces, frozenset(), url, now_us) or parsed
    said = {item.item_hash: item.content for item in whole.items}
    is_equal = (
        parsed.content == whole.content
        and parsed.item_hashes == whole.item_hashes
        and all(said[item.item_hash] == item.content for item in parsed.items)
    )
    return replace(parsed, audit=True) if is_equal else replace(whole, method=WHOLE, audit=False)


def _refuse_nothing(content: Record, hashes: list[int]) -> None:
    if content["title"] is None and not hashes:
        raise FeedUnreadable(Reason.NOT_A_FEED, "neither a title nor an item in it")


def _hash(record: Record) -> int:
    return signed(xxhash.xxh3_64_intdigest(canonical_json(record).encode()))
