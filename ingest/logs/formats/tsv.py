"""Reads separated fields: by a W3C `#Fields` line in any order, or, where a log names none, by position."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import polars as pl

from ingest.logs import cut
from ingest.logs.coded import is_compiled
from ingest.logs.errors import FileRefused
from ingest.logs.formats.base import (
    Header,
    Lines,
    Parsed,
    as_utf8,
    finish,
    joined,
    no_rejects,
    no_requests,
)
from ingest.logs.formats.quick import Quick, read_quick
from ingest.logs.rejects import line_rejects

_FIELDS, _HASH = b"#Fields:", b"#"
EXTRA = "\0extra"  # where surplus fields go; no log field has this name


Choose = Callable[[Header], list[str]]
Loosen = Callable[[pl.DataFrame], pl.DataFrame]


@dataclass(frozen=True)
class Layout:
    """How the lines of a block are cut: the field names in order, those to read, and what is between."""

    names: Header
    chosen: list[str]
    separator: str = "\t"
    misread: pl.Expr | None = None  # over the chosen fields: this line cannot have been cut right


def read_tsv(
    body: bytes,
    first_line: int,
    header: Header,
    choose: Choose,
    loosen: Loosen,
    quickly: Callable[[Header], Quick | None],
) -> Parsed:
    """Read `body` under `header` and whatever `#Fields` lines stand in it.

    `choose` names the fields to read under a header (FileRefused when a needed one is missing); `loosen`
    turns them (all String, null where empty, plus line_number) into LOOSE; `quickly` says how lines without
    doubt come to the same.
    """
    body = _plain_ends(body)
    parts = []
    for block, in_force in _blocks(body, header, choose):
        layout = Layout(in_force, choose(in_force)) if in_force else None
        quick = quickly(in_force) if in_force and is_compiled() else None
        parts.append(
            (_read_quick(block, first_line, layout, loosen, quick) if layout and quick else None)
            or _read_block(as_utf8(block), first_line, layout, loosen)
        )
        first_line += parts[-1].lines
        header = in_force
    return joined(parts, header)


def _read_quick(body: bytes, first_line: int, layout: Layout, loosen: Loosen, quick: Quick) -> Parsed | None:
    found = cut.separated(body, layout.separator, layout.names, quick.columns)
    return read_quick(
        found, quick, first_line, layout.names, lambda odd: _read_block(as_utf8(odd), 0, layout, loosen)
    )


def read_fixed(body: bytes, first_line: int, layout: Layout, loosen: Loosen) -> Parsed:
    """Read `body`, whose lines all have the fields of `layout` and name none of them."""
    return _read_block(_plain_ends(as_utf8(body)), first_line, layout, loosen)


def _plain_ends(body: bytes) -> bytes:
    newline = body.find(b"\n")
    return body.replace(b"\r\n", b"\n") if newline > 0 and body[newline - 1] == 13 else body


def _blocks(body: bytes, header: Header, choose: Choose) -> Iterator[tuple[bytes, Header]]:
    """`body` cut where a `#Fields` line changes the header, with the header in force in each part.

    Most repeat it unchanged (files that were joined): those cut nothing. One behind data that lacks a needed
    field is a damaged line, not a new header: the one before stays in force.
    """
    start = found = 0
    # By its first sign, which is rare: † a tenth of the time of looking for all of it.
    while (found := body.find(_HASH, found)) >= 0:
        if body.startswith(_FIELDS, found) and (found == 0 or body[found - 1] == 10):
            end = body.find(b"\n", found)
            line = body[found : end if end >= 0 else len(body)]
            names = _unique(line[len(_FIELDS) :].decode("utf-8", "replace").split())
            if names != header and not (header and _is_damaged(names, choose)):
                if header or not _are_directives(body[start:found]):
                    if found > start:
                        yield body[start:found], header
                    start = found
                header = names
        found += 1
    if start < len(body):
        yield body[start:], header


def _are_directives(lines: bytes) -> bool:
    """A file's first lines: they stay with what follows, for what is cut off costs a copy of the rest."""
    return not lines or (lines.startswith(_HASH) and lines.count(b"\n#") + 1 == lines.count(b"\n"))


def _is_damaged(names: Header, choose: Choose) -> bool:
    try:
        choose(names)
    except FileRefused:
        return True
    return False


def _unique(names: list[str]) -> Header:
    """Field names; a repeated one is kept out of the way of the first."""
    return tuple(f"\0{i} {name}" if name in names[:i] else name for i, name in enumerate(names))


def _read_block(body: bytes, first_line: int, layout: Layout | None, loosen: Loosen) -> Parsed:
    """Read lines that all have the same fields; lines that begin with `#` are directives."""
    lines = Lines(body, first_line)
    if layout is None:
        return _without_header(lines)
    frame = _scan(body, first_line, layout)
    is_directive = pl.col(layout.names[0]).str.starts_with("#").fill_null(False)
    marked = frame.select(is_directive.alias("is_directive")).to_series()
    data, rejects, blank = _without_short_lines(frame, marked, layout, lines)
    directives = int(marked.sum())
    if layout.misread is not None:
        data, misread = _without_misread_lines(data, layout, lines)
        rejects = pl.concat([rejects, misread])
    return finish(loosen(data), lines, rejects, directives + blank, layout.names)


def _without_header(lines: Lines) -> Parsed:
    """Directives and blank lines alone; data without field names cannot be read."""
    for line in lines.all:
        if line.strip() and not line.startswith(b"#"):
            raise FileRefused("there is no #Fields line before the first data line")
    return Parsed(no_requests(), no_rejects(), len(lines.all), ())


def _scan(body: bytes, first_line: int, layout: Layout) -> pl.DataFrame:
    """line_number, the chosen fields and the first and last one: a row a line, also for blank ones."""
    frame = (
        pl.scan_csv(
            body,
            has_header=False,
            separator=layout.separator,
            quote_char=None,
            schema=dict.fromkeys([*layout.names, EXTRA], pl.String),
            missing_columns="insert",
            extra_columns="ignore",
            truncate_ragged_lines=True,
            encoding="utf8",
            raise_if_empty=False,
            row_index_name="line_number",
        )
        .select(
            pl.col("line_number").cast(pl.Int64) + first_line,
            *dict.fromkeys([*layout.chosen, layout.names[0], layout.names[-1]]),
        )
        .collect()
    )
    return frame if frame["line_number"].is_sorted() else frame.sort("line_number")


def _without_short_lines(
    frame: pl.DataFrame, is_directive: pl.Series, layout: Layout, lines: Lines
) -> tuple[pl.DataFrame, pl.DataFrame, int]:
    """(whole lines, rejects, number of blank lines). Only a line without first or last field is either."""
    first, last, wanted = layout.names[0], layout.names[-1], len(layout.names)
    is_suspect = (frame[first].is_null() | frame[last].is_null()) & ~is_directive
    if not is_suspect.any():
        return frame.filter(~is_directive) if is_directive.any() else frame, no_rejects(), 0
    suspects = frame["line_number"].filter(is_suspect)
    judged = pl.DataFrame([suspects, lines.texts(suspects)]).with_columns(
        is_blank=pl.col("text").str.strip_chars() == "",
        fields=pl.col("text").str.count_matches(layout.separator, literal=True) + 1,
    )
    short = judged.filter(~pl.col("is_blank"), pl.col("fields") < wanted)
    reason = pl.format("too few fields: {} of {}", "fields", pl.lit(wanted))
    blank = judged.filter("is_blank")
    left_out = pl.concat([blank["line_number"], short["line_number"]])
    # Both at once: † each pass over all fields costs 2 % of the reading.
    whole = frame.filter(~pl.col("line_number").is_in(left_out.implode()) & ~is_directive)
    return whole, line_rejects(short.select("line_number", reason.alias("reason"), "text")), blank.height


def _without_misread_lines(
    data: pl.DataFrame, layout: Layout, lines: Lines
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(lines that were cut right, rejects)."""
    assert layout.misread is not None
    is_misread = data.select(layout.misread.fill_null(False)).to_series()
    if not is_misread.any():
        return data, no_rejects()
    numbers = data.filter(is_misread)["line_number"]
    reason = pl.lit(f"a value contains '{layout.separator}': the fields cannot be told apart")
    rejects = pl.DataFrame([numbers, lines.texts(numbers)]).with_columns(reason=reason)
    return data.filter(~is_misread), line_rejects(rejects)
