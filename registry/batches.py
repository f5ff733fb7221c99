"""Long input in pieces: a statement takes some thousand parameters, a transaction some ten thousand rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

PARAMETERS = 1000  # of one IN list: SQLite before 3.32 took 999 at most, PostgreSQL's planner likes few
ROWS = 50_000  # of one transaction: two seconds, so that other writers get their turn
# Rows sorted by key before they are written: in random order each transaction touches every page of a table.
SORTED_ROWS = 200_000


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """`items` in order, `size` at a time."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
