"""Overlapping ranges → disjoint ones: the narrower of two holds, of equals the later line."""

from __future__ import annotations

import heapq

import polars as pl

from ingest.logs.numbers import RANGE


def disjoint(ranges: pl.DataFrame) -> pl.DataFrame:
    """`ranges` (RANGE, line, values) in the order of start, cut where they overlap; `line` stays."""
    ranges = ranges.sort("start", "end", "line")
    if ranges.select((pl.col("start") <= pl.col("end").shift()).any()).item() is not True:
        return ranges  # as databases are published
    cut = pl.DataFrame(_cut(ranges), schema=RANGE | {"row": pl.UInt32}, orient="row")
    values = ranges.drop(list(RANGE)).with_row_index("row")
    return cut.join(values, on="row", maintain_order="left").drop("row")


def _cut(ranges: pl.DataFrame) -> list[tuple[int, int, int]]:
    """(start, end, row) of the pieces, swept from the lowest address up."""
    begins = [(start, end, row) for row, (start, end) in enumerate(ranges.select("start", "end").iter_rows())]
    rank = ranges["line"].rank("ordinal").to_list()
    pieces: list[tuple[int, int, int]] = []
    open_: list[tuple[int, int, int, int]] = []  # size, -rank, end, row: the one that holds is on top
    at = 0
    following = 0
    while following < len(begins) or open_:
        if not open_:
            at = begins[following][0]
        while following < len(begins) and begins[following][0] <= at:
            start, end, row = begins[following]
            heapq.heappush(open_, (end - start, -rank[row], end, row))
            following += 1
        _, _, end, row = open_[0]
        if end < at:
            heapq.heappop(open_)
            continue
        until = min(end, begins[following][0] - 1) if following < len(begins) else end
        pieces.append((at, until, row))
        at = until + 1
    return pieces
