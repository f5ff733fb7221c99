"""The ladder's third rung: an RSS document cut into header and items, each with its xxh3 (UPDATES §1).

The cut is made on bytes, so that an unchanged item costs a hash and nothing else. It is made only where it
is certain: every `<item` and `</item>` that it cuts at stands outside CDATA sections, comments and
processing instructions. A document that leaves a doubt is not cut.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import xxhash

from ingest.feeds.document import Document, Root
from ingest.feeds.identity import signed

# Root and channel with their attributes: namespaces, language and base hold for every item.
_ATTRIBUTES = rb"(?:\s+[^\s=<>\"'/]+\s*=\s*(?:\"[^\"<]*\"|'[^'<]*'))*\s*"
_OPENING = re.compile(
    rb"<rss(?P<rss>"
    + _ATTRIBUTES
    + rb")>(?:\s|<!--(?:(?!-->).)*-->|<\?(?:(?!\?>).)*\?>)*<channel(?P<channel>"
    + _ATTRIBUTES
    + rb")>",
    re.DOTALL,
)
_CLOSING = b"</channel></rss>"
_SPACE = b" \t\r\n"
# An item in other letters is one to a tolerant parser; here it is only a reason not to cut.
_ANY_ITEM = re.compile(rb"</?item[\s>/]", re.IGNORECASE)
_HIDING = ((b"<![CDATA[", b"]]>"), (b"<!--", b"-->"), (b"<?", b"?>"))
_ITEM_END = b"</item>"

# Declared for documents that use these prefixes without saying what they mean.
_USUAL_PREFIXES = {
    b"itunes": b"http://www.itunes.com/dtds/podcast-1.0.dtd",
    b"podcast": b"https://podcastindex.org/namespace/1.0",
    b"content": b"http://purl.org/rss/1.0/modules/content/",
    b"atom": b"http://www.w3.org/2005/Atom",
    b"dc": b"http://purl.org/dc/elements/1.1/",
    b"media": b"http://search.yahoo.com/mrss/",
    b"googleplay": b"http://www.google.com/schemas/play-podcasts/1.0",
}


@dataclass(frozen=True)
class Cut:
    """A document in pieces: `opening` + any of `items` + `closing` is one again, `opening` + `header` too."""

    opening: bytes  # <rss …><channel …>, the usual prefixes declared
    header: bytes  # what the channel says of itself, up to and with the end of the document
    header_hash: int
    items: list[bytes]
    item_hashes: list[int]
    rest: memoryview  # of the document, after its opening
    closing: bytes = _CLOSING

    def in_one_piece(self) -> bytes:
        """The document, with the usual prefixes declared."""
        return self.opening + self.rest


def cut(document: Document) -> Cut | None:
    """The document in pieces; None where it is no RSS or where a cut is not certain."""
    text = document.text
    opening = _OPENING.match(text) if document.root is Root.RSS else None
    if opening is None:
        return None
    pieces = _pieces(text, opening.end())
    if pieces is None:
        return None
    gaps, items = pieces
    header = b"\n".join(filter(None, (gap.strip(_SPACE) for gap in gaps)))
    if _ANY_ITEM.search(header):
        return None
    start = xxhash.xxh3_64_intdigest(opening[0])
    return Cut(
        opening=_declared(opening),
        header=header,
        rest=memoryview(text)[opening.end() :],
        header_hash=signed(xxhash.xxh3_64_intdigest(header, seed=start)),
        items=items,
        # Seeded with the opening: where a namespace changes every item does.
        item_hashes=[signed(xxhash.xxh3_64_intdigest(item, seed=start)) for item in items],
    )


def _pieces(text: bytes, position: int) -> tuple[list[bytes], list[bytes]] | None:
    """(between the items, the items), from `position` on; None where one is not certain."""
    hiding = [marks for marks in _HIDING if marks[0] in text]
    gaps, items = [], []
    start = _item_start(text, position)
    while start >= 0:
        end = text.find(_ITEM_END, start) + len(_ITEM_END)
        after = _item_start(text, start + 1)
        if end < len(_ITEM_END) or 0 <= after < end:  # not closed, or one within another
            return None
        gap, item = text[position:start], text[start:end]
        if not (_is_in_the_open(gap, hiding) and _is_in_the_open(item, hiding)):
            return None
        gaps.append(gap)
        items.append(item)
        position, start = end, after
    gaps.append(text[position:])
    return gaps, items


def _item_start(text: bytes, position: int) -> int:
    """Where the next `<item>` or `<item …>` begins, -1: none. Not `<items>`, nor `<item/>`."""
    position = text.find(b"<item", position)
    while position >= 0 and text[position + 5] not in b"> \n\t\r":
        position = text.find(b"<item", position + 5)
    return position


def _is_in_the_open(piece: bytes, hiding: list[tuple[bytes, bytes]]) -> bool:
    """Whether the end of the piece is surely outside of everything that hides tags."""
    for opened, closed in hiding:
        last = piece.rfind(opened)
        if last >= 0 and piece.rfind(closed) < last + len(opened):
            return False
    return True


def _declared(opening: re.Match[bytes]) -> bytes:
    rss, channel = opening["rss"].rstrip(), opening["channel"].rstrip()
    missing = b"".join(
        b' xmlns:%s="%s"' % (prefix, uri)
        for prefix, uri in _USUAL_PREFIXES.items()
        if b"xmlns:%s" % prefix not in rss + channel
    )
    return b"<rss%s%s><channel%s>" % (rss, missing, channel)
