"""How often each source may be called: calls a minute and a day, in a file, so that a restart forgets none.

Both limits hold in every window of that length, not only on average: the calls of the last minute are kept
one by one, those of the last day by hour (the hour that a day ago falls into counts whole).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from ingest.durable import locked, write_atomically
from ingest.feeds.sources.values import as_record
from ingest.web import MAX_RETRY_AFTER_S

MINUTE_US, HOUR_US, DAY_US = 60_000_000, 3_600_000_000, 86_400_000_000
MAX_PER_MINUTE = 600  # each is kept
_ALL = "*"  # every source: waits while the file could not be understood
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 60, 3600  # of a busy source that does not say for how long


@dataclass(frozen=True)
class Limits:
    """What a source allows us, or what we allow ourselves."""

    per_minute: int
    per_day: int

    def share(self, every_s: float) -> int:
        """Calls that may be made each `every_s` seconds so that they last: a fifth of the day's is spared
        for what comes beside; at least one.
        """
        spread = int(self.per_day * every_s / 86_400 * 0.8)
        return max(1, min(spread, self.per_minute))


@dataclass
class _Spent:
    """What one source was called."""

    minute: list[int] = field(default_factory=list)  # instants, oldest first
    hours: dict[int, int] = field(default_factory=dict)  # hour since the epoch → calls
    paused_until_us: int = 0
    strikes: int = 0  # answers "busy" in a row

    @classmethod
    def of(cls, value: object) -> _Spent:
        """From the file: what is not as written by us raises TypeError or ValueError."""
        said: dict[str, Any] = dict(as_record(value))
        return cls(
            [int(at) for at in said["minute"]],
            {int(hour): int(calls) for hour, calls in said["hours"].items()},
            int(said["paused_until_us"]),
            int(said["strikes"]),
        )

    def forget(self, now_us: int) -> None:
        """What is too old to count; a clock that was set back must not lock us out."""
        self.minute = [min(at, now_us) for at in self.minute if at > now_us - MINUTE_US]
        first, last = (now_us - DAY_US) // HOUR_US, now_us // HOUR_US
        kept: dict[int, int] = {}
        for hour, calls in self.hours.items():
            if hour >= first:
                kept[min(hour, last)] = kept.get(min(hour, last), 0) + calls
        self.hours = kept
        self.paused_until_us = min(self.paused_until_us, now_us + MAX_RETRY_AFTER_S * 1_000_000)

    def free_at_us(self, limits: Limits, now_us: int) -> int:
        """When the next call may be made: now, or later."""
        at = max(now_us, self.paused_until_us)
        if len(self.minute) >= limits.per_minute:
            at = max(at, self.minute[-limits.per_minute] + MINUTE_US)
        calls = sum(self.hours.values())
        for hour in sorted(self.hours):
            if calls < limits.per_day:
                break
            calls -= self.hours[hour]
            at = max(at, (hour + 1) * HOUR_US + DAY_US)
        return at

    def is_idle(self, now_us: int) -> bool:
        return not (self.minute or self.hours or self.strikes) and self.paused_until_us <= now_us


class Budget:
    """The budget of the source `name` in the file `path`, which sources and processes share."""

    def __init__(self, path: Path, name: str, limits: Limits) -> None:
        self.path, self.name, self.limits = path, name, limits

    def take(self, now_us: int) -> int | None:
        """Spend one call, on disk before it is made. Not None: not now, but at this instant (epoch µs).

        Raises OSError when the file cannot be written: then no call may be made.
        """
        until_us: list[int] = []

        def spend(spent: _Spent, free_at: int) -> None:
            if free_at > now_us:
                until_us.append(free_at)
                return
            spent.minute.append(now_us)
            spent.hours[now_us // HOUR_US] = spent.hours.get(now_us // HOUR_US, 0) + 1

        self._change(now_us, spend)
        return until_us[0] if until_us else None

    def free_at_us(self, now_us: int) -> int:
        """When the next call may be made, without spending it."""
        return self._free_at_us(self._load(now_us), now_us)

    def pause(self, now_us: int, seconds: int | None) -> int:
        """The source says it is busy, for `seconds` (None: it does not say); until when it is left alone."""
        until: list[int] = []

        def hold(spent: _Spent, _: int) -> None:
            wait = (
                min(_FIRST_PAUSE_S << min(spent.strikes, 10), _LONGEST_PAUSE_S)
                if seconds is None
                else seconds
            )
            spent.strikes += 1
            spent.paused_until_us = max(spent.paused_until_us, now_us + wait * 1_000_000)
            until.append(spent.paused_until_us)

        self._change(now_us, hold)
        return until[0]

    def answered(self, now_us: int) -> None:
        """The source answered as it should: the next pause begins short again."""
        if self._load(now_us).get(self.name, _Spent()).strikes:
            self._change(now_us, lambda spent, _: setattr(spent, "strikes", 0))

    def _change(self, now_us: int, change: Callable[[_Spent, int], None]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with locked(self.path.with_name(f".{self.path.name}.lock")):
            everything = self._load(now_us)
            free_at = self._free_at_us(everything, now_us)
            change(everything.setdefault(self.name, _Spent()), free_at)
            kept = {name: vars(one) for name, one in everything.items() if not one.is_idle(now_us)}
            write_atomically(self.path, orjson.dumps(kept, option=orjson.OPT_NON_STR_KEYS))

    def _free_at_us(self, everything: dict[str, _Spent], now_us: int) -> int:
        for spent in everything.values():
            spent.forget(now_us)
        both = (everything.get(name, _Spent()) for name in (self.name, _ALL))
        return max(spent.free_at_us(self.limits, now_us) for spent in both)

    def _load(self, now_us: int) -> dict[str, _Spent]:
        """A file that cannot be understood has every source wait for a minute: it never counts as empty."""
        try:
            said = orjson.loads(self.path.read_bytes())
            return {name: _Spent.of(value) for name, value in said.items()}
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
            return {_ALL: _Spent(paused_until_us=now_us + MINUTE_US)}
