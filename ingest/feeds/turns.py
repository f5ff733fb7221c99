"""Whose turn it is: hosts take turns, each as fast as it may be asked, none waiting for another.

Due feeds are grouped by host, so that a host's connections are used again while they are open.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

Ask = TypeVar("Ask")


class Turns(Generic[Ask]):
    """What is left to ask, by host. Not for several threads."""

    def __init__(self, asks: Iterable[tuple[str, Ask]], connections: Callable[[str], int]) -> None:
        """`asks`: (host, what), in the order in which a host's are due. `connections`: a host's at a time."""
        self._waiting: dict[str, deque[Ask]] = {}
        for host, ask in asks:
            self._waiting.setdefault(host, deque()).append(ask)
        self._left = sum(map(len, self._waiting.values()))
        self._under_way: dict[str, int] = {}
        self._connections = connections
        # (when it may be asked next, order of arrival, host); once, unless its connections are full.
        self._heap = [(0.0, number, host) for number, host in enumerate(self._waiting)]
        self._number = len(self._heap)

    def __len__(self) -> int:
        """How many were not handed out yet."""
        return self._left

    def next(self, now: float, ready_in: Callable[[str], float]) -> tuple[str, Ask] | float | None:
        """(host, what) to ask now; or seconds until a host may be asked; None: only when one is `done`.

        `now`: a monotonic clock; `ready_in`: seconds until a host takes its next request.
        """
        while self._heap:
            at, number, host = self._heap[0]
            if at > now:
                return at - now
            heapq.heappop(self._heap)
            wait = ready_in(host)
            if wait > 0:
                heapq.heappush(self._heap, (now + wait, number, host))
                continue
            ask = self._waiting[host].popleft()
            self._left -= 1
            self._under_way[host] = self._under_way.get(host, 0) + 1
            self._offer(host, now)
            return host, ask
        return None

    def done(self, host: str, now: float) -> None:
        """A request to `host` has ended: it has a connection free."""
        was_full = self._under_way[host] >= self._connections(host)
        self._under_way[host] -= 1
        if was_full:
            self._offer(host, now)

    def _offer(self, host: str, now: float) -> None:
        if self._waiting[host] and self._under_way[host] < self._connections(host):
            self._number += 1
            heapq.heappush(self._heap, (now, self._number, host))
