"""Lines of files that people made: what is too long, not UTF-8 or not CSV costs its own line only."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from registry.registration import BadRegistration, RejectReason

MAX_LINE_BYTES = 64 * 1024
MAX_RECORD_LINES = 50  # of a quoted field with line breaks; beyond, its quote was never closed
_SHOWN_CHARS = 100


class ListError(ValueError):
    """A file that cannot be used as a whole; the message names it and says why."""


Line = str | BadRegistration


def numbered_lines(path: Path) -> Iterator[tuple[int, Line]]:
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


def records(lines: Iterable[tuple[int, Line]]) -> Iterator[tuple[int, Line]]:
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


def header_of(
    path: Path,
    text: Line,
    columns: Sequence[str],
    needed: Sequence[str],
    aliases: Mapping[str, str] = MappingProxyType({}),
) -> tuple[str, list[str]]:
    """(delimiter, names) of a header that names some of `columns`, all of `needed`. Raises ListError."""
    if isinstance(text, BadRegistration):
        raise ListError(f"{path.name}, line 1: {text}")
    missing = needed[0]
    for delimiter in ",;\t":
        names = [name.strip().lower() for name in fields_of(text, delimiter)]
        names = [one if (one := aliases.get(name, name)) not in names else name for name in names]
        lacking = [name for name in needed if name not in names]
        if not lacking:
            twice = [name for name in columns if names.count(name) > 1]
            if twice:
                raise ListError(f"{path.name}, line 1: column {twice[0]!r} stands there twice")
            return delimiter, names
        if len(lacking) < len(needed):
            missing = lacking[0]
    raise ListError(
        f"{path.name}, line 1: column {missing!r} is missing; there is {text.strip()[:_SHOWN_CHARS]!r}. "
        f"The header names some of {', '.join(columns)}"
    )


def fields_of(text: Line, delimiter: str) -> list[str]:
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
