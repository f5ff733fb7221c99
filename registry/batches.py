"""Long input in pieces: how much goes into one statement, one transaction, one sort."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

PARAMETERS = 1000  # of one IN list
ROWS = 50_000  # of one transaction: two seconds, so that other writers get their turn
# Rows sorted by key before they are written: in random order each transaction touches every page of a table.
SORTED_ROWS = 200_000


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """`items` in order, `size` at a time."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
