"""What of a show's course those who do not own it are told: decided once, over all its days.

A piece is the days that an ISO week and a month share. Its small days are hidden, with others that cover
them; where no day of it is large enough, or nothing covers, it is hidden with all its days. Hidden pieces
cover each other in the sum of all. A sum over time is told where it is one of told days and told pieces:
then the hidden days of a told piece are in every sum together or not at all, and a hidden piece is in none
but the sum of all. Subtracting sums cannot part them (decision 0028).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from operator import and_
from typing import Any

from serving.reports.asking import Asks
from serving.reports.periods import By, start_of
from serving.reports.suppression import COLUMN, LEAST, cover

Row = dict[str, Any]
Piece = tuple[date, date]  # the first dates of its week and of its month
Cell = tuple[date, str]  # the first date of a week, and a value

OUTSIDE_WEEKS = "of a show that is not yours sums are of whole ISO weeks, without those of few listeners"
_WEEK = timedelta(days=6)
_DAYS = f"""
    select date, downloads, listeners as {COLUMN}
    from fct_show_daily
    where show_id = $show and source_class = $class
"""


@dataclass(frozen=True, slots=True)
class Told:
    """downloads: of all days with some. is_all: whether the sum of them all is told."""

    downloads: Mapping[date, int]
    days: frozenset[date]
    pieces: Mapping[Piece, frozenset[date]]  # those told, with their days
    is_all: bool

    @classmethod
    def of(cls, asks: Asks, params: Row) -> Told:
        """One query, of all days whatever is asked: what is hidden must not depend on the question.

        params: show and class, as Scope has them.
        """
        return cls.among(asks.rows(_DAYS, params))

    @classmethod
    def among(cls, rows: Iterable[Row]) -> Told:
        """Of rows of date, downloads and COLUMN."""
        by_piece: dict[Piece, list[Row]] = defaultdict(list)
        for row in rows:
            if row["downloads"]:
                by_piece[_piece(row["date"])].append(row)
        days: dict[Piece, list[date]] = {}
        hidden: list[bool] = []
        large: list[bool] = []
        for piece, within in by_piece.items():
            small = [(row[COLUMN] or 0) < LEAST for row in within]
            is_large = not all(small)
            large.append(is_large)
            is_covered = cover(range(len(within)), [row["downloads"] for row in within], small)
            hidden.append(not (is_large and is_covered))
            days[piece] = [row["date"] for row, is_small in zip(within, small, strict=True) if not is_small]
        sizes = [sum(row["downloads"] for row in within) for within in by_piece.values()]
        is_all = cover(range(len(sizes)), sizes, hidden) and _with_large(hidden, large, sizes)
        told = [piece for piece, is_hidden in zip(by_piece, hidden, strict=True) if not is_hidden]
        return cls(
            {row["date"]: row["downloads"] for within in by_piece.values() for row in within},
            frozenset(day for piece in told for day in days[piece]),
            {piece: frozenset(row["date"] for row in by_piece[piece]) for piece in told},
            is_all,
        )

    def tells(self, first: date, last: date) -> bool:
        """Whether the sum of these dates, both inclusive, is told."""
        asked: dict[Piece, set[date]] = defaultdict(set)
        for day in self.downloads:
            if first <= day <= last:
                asked[_piece(day)].add(day)
        return all(
            days == self.pieces.get(piece, frozenset()) or days <= self.days for piece, days in asked.items()
        )

    def total(self, first: date, last: date) -> int | None:
        """The downloads of these dates; None: they are not told."""
        if not self.tells(first, last):
            return None
        return sum(count for day, count in self.downloads.items() if first <= day <= last)


def told_cells(
    told: Told, cells: Mapping[Cell, Row], size: str, known: str | None = None
) -> tuple[set[Cell], set[date]]:
    """Which values of which weeks are told, and of which weeks some are.

    cells: with COLUMN. known: a value that is told elsewhere and covers no other. Values are told by whole
    weeks alone, so that the hidden ones of a week are in one sum only, that of the week.
    """
    by_week: dict[date, list[Cell]] = defaultdict(list)
    for cell, row in cells.items():
        if row[size]:
            by_week[cell[0]].append(cell)
    found, weeks = set(), set()
    for week, within in by_week.items():
        if not told.tells(week, week + _WEEK):
            continue
        others = [cell for cell in within if cell[1] != known]
        small = [(cells[cell][COLUMN] or 0) < LEAST for cell in others]
        if not cover(range(len(others)), [cells[cell][size] for cell in others], small):
            continue
        weeks.add(week)
        found |= {cell for cell, is_small in zip(others, small, strict=True) if not is_small}
        found |= {cell for cell in within if cell[1] == known}
    return found, weeks


def sums_of_weeks(
    cells: Mapping[Cell, Row], size: str, found: Collection[Cell], weeks: Collection[date]
) -> list[tuple[str, int, bool]]:
    """Value, its sum over weeks of which some is told, and whether all of that is told; the largest first."""
    sums: dict[str, int] = defaultdict(int)
    hidden = set()
    for cell, row in cells.items():
        if cell[0] in weeks and row[size]:
            sums[cell[1]] += row[size]
            if cell not in found:
                hidden.add(cell[1])
    largest: Sequence[str] = sorted(sums, key=lambda value: (-sums[value], value))
    return [(value, sums[value], value not in hidden) for value in largest]


def by_week(rows: Iterable[Row], value: str, size: str) -> dict[Cell, Row]:
    """Rows of dates as cells of weeks; of COLUMN the largest date counts."""
    cells: dict[Cell, Row] = {}
    for row in rows:
        cell = start_of(row["date"], By.WEEK), row[value]
        kept = cells.setdefault(cell, {size: 0, COLUMN: 0})
        kept[size] += row[size] or 0
        kept[COLUMN] = max(kept[COLUMN], row[COLUMN] or 0)
    return cells


def _with_large(hidden: list[bool], large: Sequence[bool], sizes: Sequence[int]) -> bool:
    """Hide one more, so that enough listeners are behind the hidden ones together: they may be a month."""
    if not any(hidden) or any(map(and_, hidden, large)):
        return True
    shown = [index for index, is_hidden in enumerate(hidden) if not is_hidden]
    if shown:
        hidden[min(shown, key=lambda index: sizes[index])] = True
    return bool(shown)


def _piece(day: date) -> Piece:
    return start_of(day, By.WEEK), start_of(day, By.MONTH)
