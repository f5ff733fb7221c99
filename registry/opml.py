"""Podcasts to register from an OPML file, outline by outline: rejects stand beside the good rows.

Hardened: entities are refused, nothing is fetched, the tree is cut off as it is read.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from lxml import etree

from registry.csv_lines import ListError
from registry.registration import (
    DEFAULT_TENANT,
    BadRegistration,
    Registration,
    Reject,
    RejectReason,
    Repeats,
    registration,
)

CHUNK_BYTES = 64 * 1024
MAX_ATTRIBUTES = 100  # of an outline; lxml takes quadratic time to list more
PARSER_TELLS = 100  # errors; of more libxml2 keeps silent

# Apps write URLs and titles without escaping them. As text, an entity of whatever name does no harm either.
_BARE_AMPERSAND = re.compile(rb"&(?!(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|amp|lt|gt|quot|apos);)")
_OUTLINE = re.compile(rb"<outline\b", re.IGNORECASE)
_ENTITY = b"<!ENTITY"
_OPEN = re.compile(rb"[&<]")
_LONGEST = len(b"&#1114111;")  # of what is looked for, and may go on in what is read next
_WIDE = (b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<")
_FEED_TYPES = ("", "rss", "atom", "feed", "podcast")


def read_opml(
    path: Path, tenant: str = DEFAULT_TENANT, labels: Collection[str] = ()
) -> Iterator[Registration | Reject]:
    """The outlines with a feed's URL, whatever their nesting (OPML 2.0: `xmlUrl`; some apps: `url`).

    An outline that holds others is a folder and needs none. What is wrong with the XML is told with its line,
    and reading goes on behind it. Raises ListError where nothing can be read, and OSError.
    """
    parser = etree.XMLPullParser(
        events=("start", "end"),
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        recover=True,
        remove_comments=True,
        remove_pis=True,
    )
    given, repeats = tuple(labels), Repeats()
    outlines = _Outlines(path)
    written = 0
    for chunk in _chunks(path):
        written += len(_OUTLINE.findall(chunk))
        parser.feed(chunk)
        for outline in outlines.of(parser):
            if (judged := _judged(path, outline, tenant, given, repeats)) is not None:
                yield judged
    errors = list(parser.feed_error_log)
    if not outlines.has_root:
        raise ListError(f"{path.name}: not XML: {errors[0].message.strip() if errors else 'it is empty'}")
    for error in errors:
        yield _bad(path, error.line, f"not XML: {error.message.strip()}")
    if len(errors) >= PARSER_TELLS:
        yield _bad(path, errors[-1].line, f"the first {PARSER_TELLS} errors were told; there may be more")
    if errors and written > outlines.seen:
        yield _bad(path, outlines.line, f"{written - outlines.seen} outlines behind errors were not read")
    elif outlines.is_open:
        yield _bad(path, outlines.line, "the file breaks off behind this line")


# Line, attributes by lower-case name (None: too many), whether it holds others.
_Outline = tuple[int, dict[str, str] | None, bool]


class _Outlines:
    """Takes outlines from the parser as their elements end, and cuts off the tree behind them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._holds: list[bool] = []  # of each open element: whether it holds any
        self.has_root = False
        self.line = self.seen = 0

    @property
    def is_open(self) -> bool:
        return bool(self._holds)

    def of(self, parser: etree.XMLPullParser) -> Iterator[_Outline]:
        for event, element in parser.read_events():
            self.line = element.sourceline or self.line
            if event == "start":
                self._start(element)
                continue
            holds = self._holds.pop()
            if _local(element) == "outline":
                self.seen += 1
                yield element.sourceline or 0, _attributes(element), holds
            element.clear()
            while element.getprevious() is not None:
                del element.getparent()[0]

    def _start(self, element: etree._Element) -> None:
        if not self.has_root and _local(element) != "opml":
            raise ListError(f"{self._path.name}: not OPML: it begins with <{_local(element)[:50]}>")
        self.has_root = True
        if self._holds:
            self._holds[-1] = True
        self._holds.append(False)


def _attributes(element: etree._Element) -> dict[str, str] | None:
    """None: more than MAX_ATTRIBUTES."""
    if len(element.attrib) > MAX_ATTRIBUTES:
        return None
    return {str(name).lower(): str(value) for name, value in element.attrib.items()}


def _local(element: etree._Element) -> str:
    return str(element.tag).rpartition("}")[2].lower()


def _judged(
    path: Path, outline: _Outline, tenant: str, labels: tuple[str, ...], repeats: Repeats
) -> Registration | Reject | None:
    line, attributes, holds = outline
    if attributes is None:
        return _bad(path, line, f"the outline has more than {MAX_ATTRIBUTES} attributes")
    url = attributes.get("xmlurl", "").strip()
    if not url and attributes.get("type", "").lower() in _FEED_TYPES:  # type="link" has the URL of a page
        url = attributes.get("url", "").strip()
    if not url and holds:
        return None
    try:
        if "\ufffd" in url:
            raise BadRegistration(RejectReason.BAD_URL, "not in the encoding that the file declares")
        wish = registration(url, tenant, labels)
        repeats.refuse(wish)
        return wish
    except BadRegistration as error:
        title = attributes.get("text") or attributes.get("title") or ""
        named = f" (outline {title[:80]!r})" if title else ""
        return Reject(path.name, line, error.reason, f"{error}{named}")


def _bad(path: Path, line: int, detail: str) -> Reject:
    return Reject(path.name, line, RejectReason.BAD_LINE, detail)


def _chunks(path: Path) -> Iterator[bytes]:
    """The file, bare ampersands escaped. Raises ListError for entities and for UTF-16, which hides them."""
    with path.open("rb") as file:
        held = file.read(4)
        if held.startswith(_WIDE):
            raise ListError(f"{path.name}: UTF-16: save it as UTF-8")
        is_over = False
        while not is_over:
            read = file.read(CHUNK_BYTES)
            is_over = not read
            text, held = held + read, b""
            if not is_over and (at := _OPEN.search(text, max(len(text) - _LONGEST, 0))):
                text, held = text[: at.start()], text[at.start() :]
            if _ENTITY in text:
                raise ListError(f"{path.name}: it declares entities, which no OPML needs")
            yield _BARE_AMPERSAND.sub(b"&amp;", text)
