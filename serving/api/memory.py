"""Answers kept in memory, up to so many bytes; the least used are dropped first."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

Headers = list[tuple[bytes, bytes]]

_OVERHEAD = 1000  # bytes of an entry beside its body, about
_LARGEST = 8  # no answer takes more than this part


@dataclass(slots=True)
class Kept:
    """An answer as it was sent."""

    headers: Headers
    body: bytes
    route: str


class Memory:
    """Answers of one publication by their ETag."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit, self._bytes = limit_bytes, 0
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()
        self._publication = ""

    def begin(self, publication: str) -> None:
        """Forget what belongs to another publication: nobody asks for it any more."""
        if publication != self._publication:
            self._kept.clear()
            self._bytes, self._publication = 0, publication

    def get(self, tag: bytes) -> Kept | None:
        found = self._kept.get(tag)
        if found is not None:
            self._kept.move_to_end(tag)
        return found

    def put(self, tag: bytes, kept: Kept) -> None:
        size = len(kept.body) + _OVERHEAD
        if size > self._limit // _LARGEST or tag in self._kept:
            return
        self._kept[tag] = kept
        self._bytes += size
        while self._bytes > self._limit:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= len(dropped.body) + _OVERHEAD
