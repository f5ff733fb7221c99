"""Reads JSON lines by key: the whole body at once where it parses, line by line where one line is bad."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

import orjson
import polars as pl

from ingest.logs import cut
from ingest.logs.coded import is_compiled
from ingest.logs.errors import FileRefused
from ingest.logs.formats.base import Lines, Parsed, as_utf8, finish
from ingest.logs.formats.quick import Quick, read_quick
from ingest.logs.rejects import rejects_of
from ingest.schema import Schema

SNIFFED_LINES = 1000
# What one bad line costs: so many lines are read one by one. † A whole segment would take 3 times as long.
BLOCK_LINES = 2_048

# Half of a character: no JSON, yet Polars reads some of it as NUL. No line is good or bad by its neighbours.
_HALF = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F]"
)

Numbered = list[tuple[int, bytes]]
Bad = list[tuple[int, str, bytes]]


def read_json_lines(
    body: bytes,
    first_line: int,
    schema: Schema,
    loosen: Callable[[pl.DataFrame], pl.DataFrame],
    quick: Quick | None = None,
) -> Parsed:
    """`loosen` turns the frame (columns of `schema`, plus line_number) into LOOSE.

    quick: how lines without doubt come to the same.
    """
    if quick and is_compiled():
        parsed = read_quick(
            cut.json(body, quick.columns),
            quick,
            first_line,
            (),
            lambda odd: read_json_lines(odd, 0, schema, loosen),
        )
        if parsed:
            return parsed
    body = as_utf8(body)
    lines = Lines(body, first_line)
    frame, bad, blank = _whole(body, first_line, schema), Bad(), 0
    if frame is None:
        frame, bad, blank = _in_parts(body, lines, schema)
    return finish(loosen(frame), lines, rejects_of(bad), blank, ())


def _in_parts(body: bytes, lines: Lines, schema: Schema) -> tuple[pl.DataFrame, Bad, int]:
    """(the lines that can be read, bad lines with reasons, number of blank lines)."""
    # A torn or binary line does not look like an object; without such lines most bodies parse at once:
    # † 20 to 30 % less CPU for a segment with a few of them than by blocks.
    rows = _by_shape(body, lines.first_line)
    odd, others, start = [], [], 0
    for number, end, size in rows.filter("is_odd").select("number", "end", "size").iter_rows():
        odd.append((number, body[end - size : end]))
        others.append(body[start : end - size])
        start = end + 1
    others.append(body[start:])
    frame, bad, blank = _in_blocks(b"".join(others), schema)
    numbers = rows.filter(~pl.col("is_odd"))["number"]
    frame = frame.with_columns(line_number=numbers.gather(frame["line_number"]))
    bad = [(numbers[row], reason, text) for row, reason, text in bad]
    readable, odd_bad, odd_blank = _line_by_line(odd, schema)
    if readable.height:
        frame = pl.concat([frame, readable]).sort("line_number")
    return frame, sorted(bad + odd_bad), blank + odd_blank


def _by_shape(body: bytes, first_line: int) -> pl.DataFrame:
    """Each line's number, size and end (bytes), and whether it does not look like an object."""
    line = pl.col("line").str
    size = line.len_bytes().cast(pl.Int64)
    rows = (
        pl.scan_lines(body, name="line")
        .select(
            number=pl.int_range(pl.len()) + first_line,
            size=size,
            end=(size + 1).cum_sum() - 1,
            is_odd=~(line.starts_with("{") & line.ends_with("}")),
        )
        .collect()
    )
    if rows.select(pl.col("end").last()).item() == len(body) - body.endswith(b"\n"):
        return rows
    # The ends of \r\n were left out, so that the sizes are wrong.
    return rows.with_columns(is_odd=False)


def _in_blocks(body: bytes, schema: Schema) -> tuple[pl.DataFrame, Bad, int]:
    """(the lines that can be read, bad lines with reasons, number of blank lines), numbered from 0."""
    frame = _whole(body, 0, schema)
    if frame is not None:
        return frame, [], 0
    frames, bad, blank = [], Bad(), 0
    lines = Lines(body, 0).all
    for start in range(0, len(lines), BLOCK_LINES):
        block = lines[start : start + BLOCK_LINES]
        frame = _whole(b"\n".join(block), start, schema)
        if frame is None:
            frame, block_bad, block_blank = _line_by_line(enumerate(block, start), schema)
            bad += block_bad
            blank += block_blank
        frames.append(frame)
    return pl.concat(frames, rechunk=True), bad, blank


def _whole(body: bytes, first_line: int, schema: Schema) -> pl.DataFrame | None:
    """The frame if every line is one object of this shape; blank lines would shift the line numbers."""
    if b"\\u" in body and _HALF.search(body):
        return None
    count = cut.newlines(body) + (not body.endswith(b"\n") and body != b"")
    try:
        frame = _parse(body, first_line, schema)
    except pl.exceptions.PolarsError:
        return None
    return frame if frame.height == count else None


def _parse(body: bytes, first_line: int, schema: Schema) -> pl.DataFrame:
    """Polars reads any scalar into a String column. Raises PolarsError when a line is not such an object."""
    if not body:
        return pl.DataFrame(schema={"line_number": pl.Int64, **schema})
    # Scanning in batches: † 40 % less CPU than read_ndjson.
    frame = pl.scan_ndjson(body, schema=schema, row_index_name="line_number").collect()
    frame = frame.with_columns(pl.col("line_number").cast(pl.Int64) + first_line)
    return frame if frame["line_number"].is_sorted() else frame.sort("line_number")


def _line_by_line(lines: Iterable[tuple[int, bytes]], schema: Schema) -> tuple[pl.DataFrame, Bad, int]:
    """(the lines that can be read, bad lines with reasons, number of blank lines)."""
    good, bad, blank = _objects(lines)
    good, misfits = _that_fit(good, schema)
    frame = _parse(b"\n".join(line for _, line in good), 0, schema)
    numbers = pl.Series("line_number", [number for number, _ in good], dtype=pl.Int64)
    return frame.with_columns(numbers), sorted(bad + misfits), blank


def _objects(lines: Iterable[tuple[int, bytes]]) -> tuple[Numbered, Bad, int]:
    """(lines that are JSON objects, bad lines with reasons, number of blank lines)."""
    good: Numbered = []
    bad: Bad = []
    blank = 0
    for number, line in lines:
        if not line.strip():
            blank += 1
            continue
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            bad.append((number, f"not JSON: {error.msg} at character {error.pos + 1}", line))
            continue
        if isinstance(value, dict):
            good.append((number, line))
        else:
            bad.append((number, "not a JSON object", line))
    return good, bad, blank


def _that_fit(good: Numbered, schema: Schema) -> tuple[Numbered, Bad]:
    """Lines that Polars reads with this schema; halving finds the ones that do not."""
    try:
        if _parse(b"\n".join(line for _, line in good), 0, schema).height == len(good):
            return good, []
    except pl.exceptions.PolarsError:
        pass
    if len(good) == 1:
        number, line = good[0]
        return [], [(number, "a field has an unexpected shape", line)]
    middle = len(good) // 2
    left, left_bad = _that_fit(good[:middle], schema)
    right, right_bad = _that_fit(good[middle:], schema)
    return left + right, left_bad + right_bad


@lru_cache(maxsize=1)  # each format asks for those of the same head
def first_objects(head: bytes) -> tuple[dict[str, object], ...]:
    """The JSON objects among the first lines of a file."""
    found = []
    for line in as_utf8(head).split(b"\n")[:SNIFFED_LINES]:
        if line.lstrip().startswith(b"{"):
            try:
                value = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue
            if isinstance(value, dict):
                found.append(value)
    return tuple(found)


def require_keys(head: bytes, needed: dict[str, str]) -> None:
    """Refuse a file in whose first objects a needed key never occurs. `needed`: key → what it is."""
    seen = {key for value in first_objects(head) for key in value}
    missing = [f"'{key}' ({meaning})" for key, meaning in needed.items() if key not in seen]
    if missing:
        raise FileRefused(f"keys are missing: {', '.join(missing)}")
