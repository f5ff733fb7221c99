"""Podcasts to register from an OPML file, outline by outline: rejects stand beside the good rows.

Hardened: entities are refused, nothing is fetched, the tree is cut off as it is read.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from lxml import etree

from registry.lists import ListError
from registry.registration import (
    DEFAULT_TENANT,
    BadRegistration,
    Registration,
    Reject,
    RejectReason,
    registration,
)

CHUNK_BYTES = 64 * 1024
MAX_ERRORS = 1000  # the parser keeps each; a file with more of them is something else

# Apps write URLs and titles without escaping them. As text, an entity of whatever name does no harm either.
_BARE_AMPERSAND = re.compile(rb"&(?!(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|amp|lt|gt|quot|apos);)")
_LONGEST_REFERENCE = len(b"&#1114111;")
_ENTITY = b"<!ENTITY"
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
    given = tuple(labels)
    outlines = _Outlines(path)
    for chunk in _chunks(path):
        parser.feed(chunk)
        for outline in outlines.of(parser):
            if (judged := _judged(path, outline, tenant, given)) is not None:
                yield judged
        if len(parser.feed_error_log) > MAX_ERRORS:
            break
    errors = list(parser.feed_error_log)
    if not outlines.has_root:
        raise ListError(f"{path.name}: not XML: {errors[0].message.strip() if errors else 'it is empty'}")
    for error in errors[:MAX_ERRORS]:
        yield _bad(path, error.line, f"not XML: {error.message.strip()}")
    if len(errors) > MAX_ERRORS:
        yield _bad(path, errors[MAX_ERRORS].line, f"more than {MAX_ERRORS} errors: reading ended here")
    elif outlines.is_open:
        yield _bad(path, outlines.line, "the file breaks off behind this line")


_Outline = tuple[int, dict[str, str], bool]  # line, attributes by lower-case name, whether it holds others


class _Outlines:
    """Takes outlines from the parser as their elements end, and cuts off the tree behind them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._holds: list[bool] = []  # of each open element: whether it holds any
        self.has_root = False
        self.line = 0

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
                attributes = {str(name).lower(): str(value) for name, value in element.attrib.items()}
                yield element.sourceline or 0, attributes, holds
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


def _local(element: etree._Element) -> str:
    return str(element.tag).rpartition("}")[2].lower()


def _judged(
    path: Path, outline: _Outline, tenant: str, labels: tuple[str, ...]
) -> Registration | Reject | None:
    line, attributes, holds = outline
    url = attributes.get("xmlurl", "").strip()
    if not url and attributes.get("type", "").lower() in _FEED_TYPES:  # type="link" has the URL of a page
        url = attributes.get("url", "").strip()
    if not url and holds:
        return None
    try:
        if "\ufffd" in url:
            raise BadRegistration(RejectReason.BAD_URL, "not in the encoding that the file declares")
        return registration(url, tenant, labels)
    except BadRegistration as error:
        title = attributes.get("text") or attributes.get("title") or ""
        named = f" (outline {title[:80]!r})" if title else ""
        return Reject(path.name, line, error.reason, f"{error}{named}")


def _bad(path: Path, line: int, detail: str) -> Reject:
    return Reject(path.name, line, RejectReason.BAD_LINE, detail)


def _chunks(path: Path) -> Iterator[bytes]:
    """The file, bare ampersands escaped. Raises ListError for entities and for UTF-16, which hides them."""
    with path.open("rb") as file:
        before = held = b""
        while read := file.read(CHUNK_BYTES):
            if not before and read.startswith(_WIDE):
                raise ListError(f"{path.name}: UTF-16: save it as UTF-8")
            if _ENTITY in before[-len(_ENTITY) :] + read:
                raise ListError(f"{path.name}: it declares entities, which no OPML needs")
            before, text = read, held + read
            cut = text.rfind(b"&", -_LONGEST_REFERENCE)  # may go on in the next chunk
            text, held = (text, b"") if cut < 0 else (text[:cut], text[cut:])
            yield _BARE_AMPERSAND.sub(b"&amp;", text)
        yield _BARE_AMPERSAND.sub(b"&amp;", held)
