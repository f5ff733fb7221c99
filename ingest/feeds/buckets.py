"""Politeness: for each host a token bucket, a cap on connections, pauses, and rest when it is unreachable."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from ingest.feeds.hosters import ANY_HOST, HOSTERS, Pace, listed_domain, registrable_domain
from ingest.feeds.reasons import Reason

_TIDY_EVERY = 10_000  # turns: then what is as good as new is forgotten
_UNREACHABLE_AFTER = 3  # requests in a row without an answer
# So long a host that cannot be reached is one in trouble, whose feeds stay due; after that it is a dead one,
# and each of its feeds is told so without being tried.
_TROUBLE_S = 600
_OUTAGE_KEPT_S = 6 * 3600
# All connections to a host are busy: when one is free again nobody knows. Soon, compared with other waits.
_CONNECTION_WAIT_S = 0.1


class TokenBucket:
    """At most `burst + per_s * t` takes in any `t` seconds; `burst` is two seconds' worth, at least one."""

    __slots__ = ("_at", "_tokens", "burst", "per_s")

    def __init__(self, per_s: float, now: float) -> None:
        self.per_s, self.burst = per_s, max(1.0, 2 * per_s)
        self._tokens, self._at = self.burst, now

    def wait_s(self, now: float, tokens: int = 1) -> float:
        """Seconds until so many tokens are there; more than `burst` is a forecast."""
        self._refill(now)
        return max(0.0, (tokens - self._tokens) / self.per_s)

    def take(self, now: float) -> bool:
        """Take one, if there is one."""
        self._refill(now)
        if self._tokens < 1 - 1e-9:  # the timer that waited for it may be a rounding early
            return False
        self._tokens = max(0.0, self._tokens - 1)
        return True

    def is_full(self, now: float) -> bool:
        self._refill(now)
        return self._tokens >= self.burst

    def _refill(self, now: float) -> None:
        if now > self._at:
            self._tokens = min(self.burst, self._tokens + (now - self._at) * self.per_s)
            self._at = now


class Closed(Exception):
    """The host is not asked now: it said so (BUSY), or nothing has reached it lately."""

    def __init__(self, reason: Reason, detail: str, left_s: float) -> None:
        super().__init__(reason, detail, left_s)
        self.reason, self.detail, self.left_s = reason, detail, left_s


@dataclass
class _Outage:
    """A host that cannot be reached: how often in a row, since when, and why the last time."""

    failures: int
    since: float
    last: float
    reason: Reason
    detail: str

    def rest_left(self, rest_s: float, now: float) -> float:
        return self.last + rest_s - now if self.failures >= _UNREACHABLE_AFTER else 0.0


class _Lane:
    """Those who wait for one host, first come, first served."""

    __slots__ = ("active", "bucket", "connections", "timer", "waiting")

    def __init__(self, pace: Pace, now: float) -> None:
        self.bucket = TokenBucket(pace.per_s, now)
        self.connections = pace.connections
        self.active = 0
        self.waiting: deque[asyncio.Future[None]] = deque()
        self.timer: asyncio.TimerHandle | None = None


class HostBuckets:
    """Turns at hosts. `pause_scope`: what a 429 or 503 pauses, the host's bucket or the registrable domain.

    Whoever waits for one host holds nothing that another host's requests need. Not for threads.
    """

    def __init__(
        self,
        pace: Pace = ANY_HOST,
        hosters: Mapping[str, Pace] = HOSTERS,
        pause_scope: Literal["host", "domain"] = "host",
        patience_s: float = 30,
        rest_s: float = 60,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Pauses up to `patience_s` are waited for; an unreachable host is let be for `rest_s`."""
        self._pace, self._hosters, self._clock = pace, hosters, clock
        self._is_by_domain = pause_scope == "domain"
        self._patience_s, self._rest_s = patience_s, rest_s
        self._lanes: dict[str, _Lane] = {}
        self._paused_until: dict[str, float] = {}
        self._outages: dict[str, _Outage] = {}
        self._turns = 0

    def ready_in(self, host: str) -> float:
        """Seconds until the host takes one more request than wait for it already; a forecast, never blocks.

        0 for a host that is dead for long: it costs nothing to be told so.
        """
        now = self._clock()
        key = self._key(host)
        wait = self._pause_left(key, now)
        if self._outages and (outage := self._outages.get(host)) is not None:
            if (rest := outage.rest_left(self._rest_s, now)) > 0 and now - outage.since >= _TROUBLE_S:
                return 0.0
            wait = max(wait, rest)
        if (lane := self._lanes.get(key)) is None:
            return wait
        wait = max(wait, lane.bucket.wait_s(now, len(lane.waiting) + 1))
        return max(wait, _CONNECTION_WAIT_S) if lane.active >= lane.connections else wait

    def connections(self, host: str) -> int:
        """How many requests the host takes at a time."""
        return self._hosters.get(self._key(host), self._pace).connections

    async def enter(self, host: str) -> None:
        """Wait for a turn at the host; `leave` it afterwards. Raises Closed as soon as there will be none."""
        now = self._clock()
        key = self._key(host)
        self._refuse_closed(host, key, now)
        self._turns += 1
        if self._turns % _TIDY_EVERY == 0:
            self._tidy(now)
        if (lane := self._lanes.get(key)) is None:
            pace = self._hosters.get(key, self._pace)
            lane = self._lanes[key] = _Lane(pace, now)
        if not lane.waiting and self._admit(lane, key, now):
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        lane.waiting.append(turn)
        self._pump(key)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.leave(host)  # it was given in the very moment of giving up
            raise

    def leave(self, host: str) -> None:
        """The turn is over."""
        key = self._key(host)
        self._lanes[key].active -= 1
        self._pump(key)

    def pause(self, host: str, seconds: float) -> None:
        """No request to the host's bucket (or domain) for so long; those who wait are told if it is long."""
        now = self._clock()
        key = self._key(host)
        pause_key = self._pause_key(key)
        until = max(self._paused_until.get(pause_key, 0.0), now + seconds)
        self._paused_until[pause_key] = until
        if until - now > self._patience_s:
            for other, lane in self._lanes.items():
                if lane.waiting and self._pause_key(other) == pause_key:
                    self._dismiss(lane, self._busy(pause_key, until - now))

    def unreached(self, host: str, reason: Reason, detail: str) -> None:
        """A request got no answer. Three such in a row, and the host is let be for `rest_s`."""
        now = self._clock()
        outage = self._outages.setdefault(host, _Outage(0, now, now, reason, detail))
        outage.failures += 1
        outage.last, outage.reason, outage.detail = now, reason, detail
        if (left := outage.rest_left(self._rest_s, now)) > 0 and self._key(host) == host:
            self._dismiss(self._lanes[host], _resting(outage, left))

    def reached(self, host: str) -> None:
        """An answer came."""
        if self._outages:
            self._outages.pop(host, None)

    def _key(self, host: str) -> str:
        return listed_domain(host, self._hosters) or host

    def _pause_key(self, key: str) -> str:
        return registrable_domain(key) if self._is_by_domain else key

    def _pause_left(self, key: str, now: float) -> float:
        if not self._paused_until:
            return 0.0
        pause_key = self._pause_key(key)
        if (left := self._paused_until.get(pause_key, 0.0) - now) > 0:
            return left
        self._paused_until.pop(pause_key, None)
        return 0.0

    def _refuse_closed(self, host: str, key: str, now: float) -> None:
        if (left := self._pause_left(key, now)) > self._patience_s:
            raise self._busy(self._pause_key(key), left)
        outage = self._outages.get(host)
        if outage is not None and (left := outage.rest_left(self._rest_s, now)) > 0:
            raise _resting(outage, left)

    def _busy(self, pause_key: str, left: float) -> Closed:
        return Closed(Reason.BUSY, f"not asked: {pause_key} wants no requests for {left:,.0f} s", left)

    def _admit(self, lane: _Lane, key: str, now: float) -> bool:
        if lane.active >= lane.connections or self._pause_left(key, now) or not lane.bucket.take(now):
            return False
        lane.active += 1
        return True

    def _pump(self, key: str) -> None:
        """Give turns to those who wait, and come back when the next one can be given."""
        if (lane := self._lanes.get(key)) is None:
            return  # a timer of one that all had left
        if lane.timer is not None:
            lane.timer.cancel()
            lane.timer = None
        now = self._clock()
        while lane.waiting:
            if lane.waiting[0].done():  # it gave up
                lane.waiting.popleft()
            elif self._admit(lane, key, now):
                lane.waiting.popleft().set_result(None)
            elif lane.active >= lane.connections:
                return  # until one leaves
            else:
                wait = max(self._pause_left(key, now), lane.bucket.wait_s(now))
                lane.timer = asyncio.get_running_loop().call_later(wait, self._pump, key)
                return

    def _dismiss(self, lane: _Lane, closed: Closed) -> None:
        while lane.waiting:
            if not (turn := lane.waiting.popleft()).done():
                turn.set_exception(Closed(closed.reason, closed.detail, closed.left_s))

    def _tidy(self, now: float) -> None:
        """Forget what is as good as new, so that memory follows the hosts in use, not all there ever were."""
        self._lanes = {
            key: lane
            for key, lane in self._lanes.items()
            if lane.active or lane.waiting or not lane.bucket.is_full(now)
        }
        self._paused_until = {key: until for key, until in self._paused_until.items() if until > now}
        self._outages = {
            host: outage for host, outage in self._outages.items() if outage.last + _OUTAGE_KEPT_S > now
        }


def _resting(outage: _Outage, left: float) -> Closed:
    return Closed(outage.reason, f"not asked again yet: {outage.detail}", left)
