"""Podcasts to register from a CSV file or a plain list, line by line: rejects stand beside the good rows."""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from operator import itemgetter
from pathlib import Path

from registry.registration import (
    DEFAULT_TENANT,
    BadRegistration,
    Registration,
    Reject,
    RejectReason,
    Repeats,
    registration,
)

# As `earshot list` writes them: what it wrote can be registered elsewhere.
_ALIASES = {"feed_url": "url", "podcast_guid": "guid"}
COLUMNS = ("url", "tenant", "labels", "show_id", "itunes_id", "podcastindex_id", "guid", "since")

MAX_LINE_BYTES = 64 * 1024
MAX_RECORD_LINES = 50  # of a quoted field with line breaks; beyond, its quote was never closed
_SHOWN_CHARS = 100
_BETWEEN_LABELS = re.compile(r"[|;,\s]+")


class ListError(ValueError):
    """A file that cannot be used as a whole; the message names it and says why."""


def read_csv(
    path: Path, tenant: str = DEFAULT_TENANT, labels: Collection[str] = ()
) -> Iterator[Registration | Reject]:
    """The rows of a CSV file whose header names COLUMNS, in any order; only `url` must be there.

    Separated by comma, semicolon or tab, UTF-8; other columns are passed over. Labels are separated by |, ;
    or space and come on top of `labels`; `tenant` stands in for an empty one. Raises ListError and OSError.
    """
    numbered = _records(_lines(path))
    header = next(numbered, None)
    if header is None:
        raise ListError(f"{path.name} is empty")
    delimiter, names = _header(path, header[1])
    # A column that is not there is read from a last field, which is always empty.
    pick = itemgetter(*(names.index(name) if name in names else len(names) for name in COLUMNS))
    given, repeats = tuple(labels), Repeats()
    for line, record in numbered:
        try:
            fields = _fields(record, delimiter)
            if not fields:
                continue
            if len(fields) > len(names):
                raise BadRegistration(RejectReason.BAD_LINE, "more fields than columns")
            fields += [""] * (len(names) + 1 - len(fields))
            url, of_tenant, own, show_id, itunes_id, podcastindex_id, guid, since = pick(fields)
            wish = registration(
                url,
                of_tenant.strip() or tenant,
                (*given, *filter(None, _BETWEEN_LABELS.split(own))) if own else given,
                guid=guid.strip(),
                itunes_id=itunes_id.strip(),
                podcastindex_id=podcastindex_id.strip(),
                show_id=show_id.strip(),
                since=since.strip(),
            )
            repeats.refuse(wish)
            yield wish
        except BadRegistration as error:
            yield Reject(path.name, line, error.reason, str(error))


def read_urls(
    path: Path, tenant: str = DEFAULT_TENANT, labels: Collection[str] = ()
) -> Iterator[Registration | Reject]:
    """One URL a line; blank lines and those that begin with # are passed over. Raises OSError."""
    given, repeats = tuple(labels), Repeats()
    for line, text in _lines(path):
        try:
            if isinstance(text, BadRegistration):
                raise text
            if (url := text.strip()) and not url.startswith("#"):
                wish = registration(url, tenant, given)
                repeats.refuse(wish)
                yield wish
        except BadRegistration as error:
            yield Reject(path.name, line, error.reason, str(error))


Line = str | BadRegistration


def _lines(path: Path) -> Iterator[tuple[int, Line]]:
    """Numbered lines; one that is too long or not UTF-8 as the reason why."""
    with path.open("rb") as file:
        number = 0
        while raw := file.readline(MAX_LINE_BYTES):
            number += 1
            if len(raw) == MAX_LINE_BYTES and not raw.endswith(b"\n"):
                while (rest := file.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                    pass
                yield number, _bad(f"a line longer than {MAX_LINE_BYTES} bytes")
                continue
            try:
                yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                yield number, _bad(f"not UTF-8: {error.reason} at byte {error.start} of the line")


def _records(lines: Iterable[tuple[int, Line]]) -> Iterator[tuple[int, Line]]:
    """Lines put together where a quoted field spans several; numbered by the first of them.

    A quote that is never closed costs its own line only, not the rest of the file.
    """
    rest = iter(lines)
    again: deque[tuple[int, Line]] = deque()
    while True:
        first = again.popleft() if again else next(rest, None)
        if first is None:
            return
        number, text = first
        if isinstance(text, BadRegistration) or text.count('"') % 2 == 0:
            yield first
            continue
        parts, held = [text], list(again)
        again.clear()
        ahead = iter(held)
        taken: list[tuple[int, Line]] = []
        closed = False
        while len(parts) < MAX_RECORD_LINES:
            following = next(ahead, None) or next(rest, None)
            if following is None:
                break
            taken.append(following)
            if isinstance(following[1], BadRegistration):
                break
            parts.append(following[1])
            if following[1].count('"') % 2:
                closed = True
                break
        if closed:
            yield number, "".join(parts)
        else:
            yield number, _bad("a quote is opened and never closed")
            again.extend(taken)
        again.extend(ahead)


def _header(path: Path, text: Line) -> tuple[str, list[str]]:
    if isinstance(text, BadRegistration):
        raise ListError(f"{path.name}, line 1: {text}")
    for delimiter in ",;\t":
        names = [name.strip().lower() for name in _fields(text, delimiter)]
        names = [one if (one := _ALIASES.get(name, name)) not in names else name for name in names]
        if "url" in names:
            twice = [name for name in COLUMNS if names.count(name) > 1]
            if twice:
                raise ListError(f"{path.name}, line 1: column {twice[0]!r} stands there twice")
            return delimiter, names
    raise ListError(
        f"{path.name}, line 1: column 'url' is missing; there is {text.strip()[:_SHOWN_CHARS]!r}. "
        f"The header names some of {', '.join(COLUMNS)}"
    )


def _fields(text: Line, delimiter: str) -> list[str]:
    if isinstance(text, BadRegistration):
        raise text
    text = text.rstrip("\r\n")
    if '"' not in text:
        return text.split(delimiter) if text.strip() else []
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        raise _bad(f"not CSV: {error}") from None


def _bad(message: str) -> BadRegistration:
    return BadRegistration(RejectReason.BAD_LINE, message)
