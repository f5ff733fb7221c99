"""Cells with too few listeners behind them, left out for readers who do not own the show.

A cell is a row's figures. It is left out where the marts cannot show that at least LEAST listeners are behind
it. Of a group whose total can be had elsewhere the sum of the hidden cells can be worked out: the smallest of
the others go with them until they are two and their sum is LEAST more than they are. Zeros give no cover.
Sums over time are decided on in serving/reports/told.py, decision 0028.
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


def by_date(row: Row) -> Hashable:
    return str(row["period"])[:10]


def suppressed(rows: Sequence[Row], figures: Sequence[str], groups: Sequence[GroupOf]) -> list[Row]:
    """The rows without COLUMN, with FLAG, and without figures where they are too few.

    figures: columns of numbers, the first of which orders cells by size. groups: in each, one after another,
    so many cells are left out that their sum tells nothing of one.
    """
    small = [(row[COLUMN] or 0) < LEAST for row in rows]
    sizes = [row[figures[0]] or 0 for row in rows]
    for group_of in groups:
        members: dict[Hashable, list[int]] = defaultdict(list)
        for index, row in enumerate(rows):
            members[group_of(row)].append(index)
        for group in members.values():
            cover(group, sizes, small)
    return [_shown(row, figures, is_small) for row, is_small in zip(rows, small, strict=True)]


def cover(group: Sequence[int], sizes: Sequence[float], small: list[bool]) -> bool:
    """Hide the smallest that are shown, until the sum of the hidden ones tells nothing of one.

    False: with all of them hidden it still does.
    """
    hidden = [sizes[index] for index in group if small[index] and sizes[index]]
    if not hidden:
        return True
    count, total = len(hidden), sum(hidden)
    shown = (index for index in group if not small[index] and sizes[index])
    for index in sorted(shown, key=lambda index: sizes[index]):
        if _is_covered(count, total):
            return True
        small[index] = True
        count, total = count + 1, total + sizes[index]
    return _is_covered(count, total)


def _is_covered(count: int, total: float) -> bool:
    return count > 1 and total >= LEAST + count


def _shown(row: Row, figures: Sequence[str], is_small: bool) -> Row:
    shown = {name: value for name, value in row.items() if name != COLUMN}
    if is_small:
        shown |= dict.fromkeys((name for name in figures if name in shown), None)
    return shown | {FLAG: is_small or bool(row.get(FLAG))}
