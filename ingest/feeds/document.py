"""The body of an answer as a feed document: one encoding, one root, nothing in it that a parser would expand.

Everything here looks at bytes only; no parser has seen them yet.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from feedparser.encodings import convert_to_utf8

from ingest.feeds.reasons import FeedUnreadable, Reason

MAX_ITEMS = 20_000

_HEAD_BYTES = 65_536  # the root element begins within these
_SAMPLE_BYTES = 262_144  # for guessing an encoding
_MOSTLY = 0.02  # of the bytes beyond ASCII may be broken in a document that still is UTF-8
_PREFIX = rb"(?:[A-Za-z_][\w.-]*:)?"
_ROOT = re.compile(rb"<(" + _PREFIX + rb"(?:rss|feed|rdf))(?=[\s>/])", re.IGNORECASE)
_HTML = re.compile(rb"<(?:!doctype\s+)?html\b", re.IGNORECASE)
_PART_OF_HTML = re.compile(rb"\s*<(?:head|title|body|h1|meta|script)\b", re.IGNORECASE)
_DECLARATION_BYTES = 200
_XML_DECLARATION = re.compile(rb"<\?xml\s[^<>]{0,%d}\?>" % _DECLARATION_BYTES)
_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.DOTALL)
_ENTITY = re.compile(rb"<!ENTITY", re.IGNORECASE)
_DOCTYPE = re.compile(rb"<!DOCTYPE", re.IGNORECASE)
# How XML in two or four bytes a character begins: byte order marks, else `<?`.
_WIDE = {
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe\0\0": "utf-32",
    b"\xfe\xff": "utf-16",
    b"\xff\xfe": "utf-16",
    b"\0\0\0<": "utf-32-be",
    b"<\0\0\0": "utf-32-le",
    b"\0<\0": "utf-16-be",
    b"<\0": "utf-16-le",
}
_SEVEN_BIT = re.compile(rb"encoding\s*=\s*[\"'](?:iso-2022|utf-7|hz)", re.IGNORECASE)
_NOT_XML = bytes(code for code in range(0x20) if code not in b"\t\n\r")
_ENTRY = re.compile(rb"<" + _PREFIX + rb"(?:item|entry)[\s>/]", re.IGNORECASE)


class Root(StrEnum):
    """What kind of feed the root element announces."""

    RSS = "rss"
    ATOM = "feed"
    RDF = "rdf"  # RSS 0.90 and 1.0


_CHANNEL_END = re.compile(rb"</" + _PREFIX + rb"channel\s*>", re.IGNORECASE)
_ENDS = {root: re.compile(rb"</" + _PREFIX + root.encode() + rb"\s*>", re.IGNORECASE) for root in Root}


@dataclass(frozen=True)
class Document:
    """`text` is UTF-8 and begins with the root element."""

    text: bytes
    root: Root
    is_plain: bool  # it came as UTF-8 and without a DOCTYPE: the ladder may compare it item by item


def read_document(body: bytes, content_type: str | None) -> Document:
    """The body as a document.

    Raises FeedUnreadable: EMPTY, BAD_ENCODING, HTML_PAGE, NOT_A_FEED, ENTITIES, TOO_MANY_ITEMS, TRUNCATED.
    """
    if not body.strip(b"\0 \t\r\n"):
        raise FeedUnreadable(Reason.EMPTY, f"{len(body)} bytes, all blank")
    text, is_utf8 = _as_utf8(body, content_type)
    text = text.translate(None, _NOT_XML)
    head = _COMMENT.sub(lambda found: b" " * len(found[0]), text[:_HEAD_BYTES])
    has_doctype = _judge_prologue(head)
    found = _ROOT.search(head)
    if found is None:
        raise FeedUnreadable(*_what_else(head))
    if _HTML.search(head, 0, found.start()):
        raise FeedUnreadable(Reason.HTML_PAGE, "an HTML page")
    text = text[found.start() :]
    root = Root(found[1].lower().rpartition(b":")[2].decode())
    _refuse_too_many(text, root)
    return Document(_to_its_end(text, root), root, is_plain=is_utf8 and not has_doctype)


def _as_utf8(body: bytes, content_type: str | None) -> tuple[bytes, bool]:
    """(UTF-8, whether it came as that). Valid UTF-8 is UTF-8, whatever server and document declare."""
    for start, encoding in _WIDE.items():
        if body.startswith(start):
            return body.decode(encoding, errors="replace").encode(errors="ignore"), False
    plain = body.removeprefix(b"\xef\xbb\xbf")
    if b"\x1b" not in plain and not _SEVEN_BIT.search(plain[:_DECLARATION_BYTES]):
        try:
            plain.decode()
            return plain, True
        except UnicodeDecodeError:
            text = _mostly_utf8(plain)
            if text is not None:
                return text, False
    return _by_declaration(plain, content_type), False


def _by_declaration(body: bytes, content_type: str | None) -> bytes:
    """By feedparser's rules: server, document, statistics. It sees the beginning only."""
    declared = _XML_DECLARATION.match(body)
    start = (
        b"" if declared or not body.startswith(b"<?") else b"\n"
    )  # no other `<?` is for feedparser to read
    sample = start + body[: body.rfind(b">", 0, _SAMPLE_BYTES) + 1]
    headers = {"content-type": content_type} if content_type else {}
    # A declaration that is itself broken makes feedparser raise: once more without.
    for said, seen in ((headers, sample), ({}, _XML_DECLARATION.sub(b"", sample, count=1))):
        result: dict[str, object] = {}
        try:
            text: bytes = convert_to_utf8(said, seen, result)
            encoding = str(result.get("encoding") or "")
            if encoding:
                rest = body[len(sample) - len(start) :]
                return text + rest.decode(encoding, errors="replace").encode(errors="ignore")
        except (ValueError, LookupError):
            continue
    raise FeedUnreadable(
        Reason.BAD_ENCODING, str(result.get("bozo_exception", "its encoding is declared wrongly"))
    )


def _mostly_utf8(text: bytes) -> bytes | None:
    """UTF-8 with a few broken bytes (cut inside a character, a stray paste): these become U+FFFD."""
    beyond_ascii = len(text) - len(text.translate(None, bytes(range(0x80, 0x100))))
    decoded = text.decode(errors="replace")
    broken = decoded.count("\ufffd") - text.count("\ufffd".encode())
    return decoded.encode() if broken <= _MOSTLY * beyond_ascii else None


def _judge_prologue(head: bytes) -> bool:
    """Whether a DOCTYPE stands before the root. Raises FeedUnreadable (ENTITIES)."""
    doctype = _DOCTYPE.search(head)
    if doctype is None:
        return False
    root = _ROOT.search(head, doctype.end())
    # The name of the root stands in the DOCTYPE too, but never after a `<`.
    if _ENTITY.search(head, doctype.end(), root.start() if root else len(head)):
        raise FeedUnreadable(Reason.ENTITIES, "declares entities of its own; none is expanded")
    return True


def _what_else(head: bytes) -> tuple[Reason, str]:
    if _HTML.search(head) or _PART_OF_HTML.match(head):
        return Reason.HTML_PAGE, "an HTML page"
    start = _XML_DECLARATION.sub(b"", head).strip()[:60]
    return Reason.NOT_A_FEED, f"no <rss>, <feed> or <rdf:RDF>; begins with {start.decode(errors='replace')!r}"


def _refuse_too_many(text: bytes, root: Root) -> None:
    """Raises FeedUnreadable (TOO_MANY_ITEMS); the count by letters is an upper bound of nearly all feeds'."""
    if text.count(b"<entry" if root is Root.ATOM else b"<item") > MAX_ITEMS:
        items = sum(1 for _ in _ENTRY.finditer(text))
        if items > MAX_ITEMS:
            raise FeedUnreadable(Reason.TOO_MANY_ITEMS, f"{items:,} items, more than {MAX_ITEMS:,}")


def _to_its_end(text: bytes, root: Root) -> bytes:
    """Without what hosts put behind the root element; behind the last item the end of the channel will do.

    Raises FeedUnreadable (TRUNCATED) where the end is missing.
    """
    last = max(text.rfind(b"</item>"), text.rfind(b"</entry>"), 0)
    if end := _ENDS[root].search(text, last):
        return text[: end.end()]
    if root is Root.RSS and (end := _CHANNEL_END.search(text, last)):
        return text[: end.end()] + b"</rss>"
    tail = text[-40:].decode(errors="replace")
    raise FeedUnreadable(Reason.TRUNCATED, f"breaks off after {len(text):,} bytes: {tail!r}")
