"""Whose turn it is: each host is asked as fast as it may be, and none waits for another.

A host that was begun goes before one that was not, so that its connection is used again while it is open.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Ask = TypeVar("Ask")


class Turns(Generic[Ask]):
    """What is left to ask, by host. Not for several threads."""

    def __init__(self, connections: Callable[[str], int]) -> None:
        """`connections`: how many requests a host takes at a time."""
        self._connections = connections
        self._waiting: dict[str, deque[Ask]] = {}
        self._under_way: dict[str, int] = {}
        self._fresh: deque[str] = deque()  # hosts not begun, in order of arrival
        self._begun: list[tuple[float, int, str]] = []  # (when to ask next, order, host)
        self._offered: set[str] = set()  # hosts in one of the two
        self._number = 0
        self._left = 0

    def __len__(self) -> int:
        """How many were not handed out yet."""
        return self._left

    def add(self, host: str, ask: Ask) -> None:
        """One more; a host's are asked in the order in which they come."""
        self._waiting.setdefault(host, deque()).append(ask)
        self._left += 1
        if host not in self._offered and not self._under_way.get(host):
            self._offered.add(host)
            self._fresh.append(host)
        elif self._is_free(host):
            self._offer(host, 0.0)

    def next(self, now: float, ready_in: Callable[[str], float]) -> tuple[str, Ask] | float | None:
        """(host, what) to ask now; or seconds until a host may be asked; None: only when one is `done`.

        `now`: a monotonic clock; `ready_in`: seconds until a host takes its next request.
        """
        while self._begun or self._fresh:
            if self._begun and (self._begun[0][0] <= now or not self._fresh):
                at, _, host = self._begun[0]
                if at > now:
                    return at - now
                heapq.heappop(self._begun)
            else:
                host = self._fresh.popleft()
            self._offered.discard(host)
            wait = ready_in(host)
            if wait > 0:
                self._offer(host, now + wait)
                continue
            ask = self._waiting[host].popleft()
            self._left -= 1
            self._under_way[host] = self._under_way.get(host, 0) + 1
            if self._is_free(host):
                self._offer(host, now)
            return host, ask
        return None

    def done(self, host: str, now: float) -> None:
        """A request to `host` has ended: it has a connection free."""
        self._under_way[host] -= 1
        if self._is_free(host):
            self._offer(host, now)
        if not self._under_way[host] and not self._waiting[host]:
            del self._under_way[host], self._waiting[host]

    def _is_free(self, host: str) -> bool:
        return bool(self._waiting[host]) and (
            host not in self._offered and self._under_way.get(host, 0) < self._connections(host)
        )

    def _offer(self, host: str, at: float) -> None:
        self._number += 1
        self._offered.add(host)
        heapq.heappush(self._begun, (at, self._number, host))
