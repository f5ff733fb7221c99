"""Cells with too few listeners behind them, left out for readers who do not own the show.

A cell is a row's figures. It is left out where the marts cannot show that at least LEAST listeners are behind
it. A single one of a group whose total can be had elsewhere could be worked out from that, so the smallest of
the others goes with it. What somebody might still learn from many overlapping ranges is not prevented.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import Any

Row = dict[str, Any]
GroupOf = Callable[[Row], Hashable]

LEAST = 10  # listeners
COLUMN = "least_listeners"  # of a row before: at least so many
FLAG = "suppressed"


def whole(_: Row) -> Hashable:
    """All rows are one group."""
    return None


def by_column(name: str) -> GroupOf:
    return lambda row: str(row[name])


def by_month(row: Row) -> Hashable:
    return row["period_start"].year, row["period_start"].month


def by_week(row: Row) -> Hashable:
    return str(row["period_start"].isocalendar()[:2])


def by_date(row: Row) -> Hashable:
    return str(row["period"])[:10]


def suppressed(rows: Sequence[Row], figures: Sequence[str], groups: Sequence[GroupOf]) -> list[Row]:
    """The rows without COLUMN, with FLAG, and without figures where they are too few.

    figures: columns of numbers, the first of which orders cells by size. groups: in each, no single cell may
    be left out alone.
    """
    small = [(row[COLUMN] or 0) < LEAST for row in rows]
    for group_of in groups:
        members: dict[Hashable, list[int]] = defaultdict(list)
        for index, row in enumerate(rows):
            members[group_of(row)].append(index)
        for group in members.values():
            if sum(small[index] for index in group) == 1 and len(group) > 1:
                others = [index for index in group if not small[index]]
                small[min(others, key=lambda index: rows[index][figures[0]] or 0)] = True
    return [_shown(row, figures, is_small) for row, is_small in zip(rows, small, strict=True)]


def _shown(row: Row, figures: Sequence[str], is_small: bool) -> Row:
    shown = {name: value for name, value in row.items() if name != COLUMN}
    if is_small:
        shown |= dict.fromkeys((name for name in figures if name in shown), None)
    return shown | {FLAG: is_small}
