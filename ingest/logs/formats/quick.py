"""Lines without doubt → RAW by the compiled reader; what it leaves over goes the way of all lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import polars as pl

from ingest.logs.coded import Coded
from ingest.logs.cut import Column, Cut
from ingest.logs.formats.base import EARLIEST_US, LATEST_US, MOST_STATUS, Header, Parsed, joined, no_rejects
from ingest.schema import RAW

Made = dict[str, pl.Series | Coded]
# A body of other lines is read twice for nothing: from this share of odd lines on it is left alone.
MOST_ODD = 0.25


@dataclass(frozen=True)
class Quick:
    """How a format's lines are cut, and what its columns come to.

    `made`: of RAW all but line_number, started_us and line_hash that the format has, and ended_us, took_us
    (absent: 0); integers, not null where LOOSE must not be.
    """

    columns: list[Column]
    made: Callable[[Cut], Made]


def read_quick(
    cut: Cut, quick: Quick, first_line: int, header: Header, slowly: Callable[[bytes], Parsed]
) -> Parsed | None:
    """What was cut, with what `slowly` reads of the odd lines (numbered from 0); None: too many are odd."""
    if cut.odd_numbers.len() > MOST_ODD * cut.lines:
        return None
    made = quick.made(cut)
    started_us, fits = _judged(made)
    requests = _raw(cut, made, started_us, first_line)
    if not fits.all():
        requests = requests.filter(fits)
    numbers, body = cut.odd_lines(~fits)
    surely = Parsed(requests, no_rejects(), cut.blank, header)
    if not numbers.len():
        return surely
    slow = _numbered(slowly(body), numbers + first_line)
    both = joined([surely, slow], header)
    return replace(both, requests=both.requests.sort("line_number")) if slow.requests.height else both


def _judged(made: Made) -> tuple[pl.Series, pl.Series]:
    """When each request began, and whether its numbers are possible."""
    ended_us, took_us, status = made["ended_us"], made.get("took_us"), made["status"]
    assert isinstance(ended_us, pl.Series) and isinstance(status, pl.Series)
    started_us = ended_us - took_us if isinstance(took_us, pl.Series) else ended_us
    is_possible = started_us.is_between(EARLIEST_US, LATEST_US) & (status <= MOST_STATUS)
    return started_us, is_possible


def _raw(cut: Cut, made: Made, started_us: pl.Series, first_line: int) -> pl.DataFrame:
    texts = {name: each.texts() if isinstance(each, Coded) else each for name, each in made.items()}
    columns = {**texts, "line_number": cut.numbers + first_line, "started_us": started_us}
    ids = columns.get("request_id")
    without_id = ids.is_null() if ids is not None else pl.repeat(True, started_us.len(), eager=True)
    if without_id.any():
        hashes = pl.Series([None], dtype=pl.Int64).new_from_index(0, started_us.len())
        columns["line_hash"] = hashes.scatter(without_id.arg_true(), cut.hashes(without_id))
    return pl.DataFrame(
        [
            columns[name].cast(dtype, strict=False).alias(name)
            if name in columns
            else pl.Series(name, [None], dtype=dtype).new_from_index(0, started_us.len())
            for name, dtype in RAW.items()
        ]
    )


def _numbered(parsed: Parsed, numbers: pl.Series) -> Parsed:
    """`parsed`, whose lines are counted from 0, with these numbers for them."""

    def of(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns(line_number=numbers.gather(frame["line_number"]))

    return replace(parsed, requests=of(parsed.requests), rejects=of(parsed.rejects))
