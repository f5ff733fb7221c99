"""What a channel is to be told now: rate limits, what got worse, what is over. Pure: state and time alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import xxhash

from serving.alerts.alert import Alert, Severity
from serving.alerts.state import About, Channel, Known, State, Told

HOUR_US = 3_600_000_000
# What comes and goes within it is one alert that lasts: nobody is told "over" and "there" in turn.
SETTLE_US = 600_000_000
WORSE_TIMES = 2  # so many times the amount that was told is worse
_LONG_US, _SKEW_US = 2**62, 60_000_000
# So many messages, none two hours after the one before, are sent as they come. Then they are collected: the
# next waits so many minutes after the last, and the one after it longer; what is critical waits the first.
FREE_MESSAGES = 6
_COLLECTED_MIN = (10, 20, 40, 60)
_CALM_US = 2 * HOUR_US
_RETRY_S = (60, 120, 300, 900, 1800, 3600)  # after the first failure of a channel, the second, …


class What(StrEnum):
    """Why an alert is in a message."""

    NEW = "new"
    WORSE = "worse"
    AGAIN = "again"  # still there after the hours of EARSHOT_ALERT_AGAIN_H
    RESOLVED = "resolved"


@dataclass(frozen=True)
class Item:
    """An alert in a message."""

    what: What
    alert: Known


def merge(state: State, found: Mapping[str, Iterable[Alert]], now_us: int) -> None:
    """Take what looks found (name of the look → alerts) into the state.

    What looks that were not made, or failed, would have found stays as it is.
    """
    there = set()
    for look, alerts in found.items():
        for alert in alerts:
            there.add(alert.key)
            known = state.alerts.get(alert.key)
            if known is None or _was_over(known):
                told = known.told if known else {}  # the rate limit holds over both
                known = Known(look, **_facts(alert), first_us=now_us, last_us=now_us, count=0, told=told)
                state.alerts[alert.key] = known
            for name, value in _facts(alert).items():
                setattr(known, name, value)
            known.gone_us, known.last_us = None, now_us
            known.count = alert.count or known.count + 1
    for known in state.alerts.values():
        if known.look in found and known.key not in there and known.gone_us is None:
            known.gone_us = now_us


def news(state: State, channel: str, again_us: int, now_us: int) -> list[Item]:
    """What `channel` has not heard yet, the worst first."""
    items = [
        Item(what, known)
        for known in state.alerts.values()
        if (what := _what(known, known.told.get(channel), again_us, now_us)) is not None
    ]
    order = list(What)
    return sorted(
        items,
        key=lambda item: (
            item.what is What.RESOLVED,
            item.alert.severity is not Severity.CRITICAL,
            order.index(item.what),
            item.alert.first_us,
            item.alert.key,
        ),
    )


def about(items: Iterable[Item]) -> list[About]:
    """What a message with these says, to be noted once it was taken."""
    return [About(item.alert.key, item.what.value, item.alert.severity, item.alert.amount) for item in items]


def note_told(state: State, told: Iterable[About], channel: str, now_us: int) -> None:
    """`channel` took a message about these."""
    for each in told:
        known = state.alerts.get(each.key)
        if known is None:
            continue
        former = known.told.get(channel)
        if each.what != What.RESOLVED:
            known.told[channel] = Told(now_us, each.severity, each.amount, True)
        elif former is not None:
            former.is_open = False


def is_collecting(channel: Channel, items: Iterable[Item], now_us: int) -> bool:
    """Whether so much was told of late that the next message waits, and takes what comes until then."""
    if channel.told_us is None or channel.burst < FREE_MESSAGES:
        return False
    of = (item for item in items if item.what in (What.NEW, What.WORSE))
    is_critical = any(item.alert.severity is Severity.CRITICAL for item in of)
    step = 0 if is_critical else min(channel.burst - FREE_MESSAGES, len(_COLLECTED_MIN) - 1)
    return since(channel.told_us, now_us) < _COLLECTED_MIN[step] * 60_000_000


def is_due(channel: Channel, now_us: int) -> bool:
    """Whether it may be tried: it works, or has been left alone long enough."""
    return not 0 < channel.next_us - now_us <= _RETRY_S[-1] * 1_000_000


def note_success(channel: Channel, now_us: int) -> None:
    channel.failures, channel.next_us, channel.problem, channel.failing_since_us = 0, 0, None, None
    is_calm = channel.told_us is None or since(channel.told_us, now_us) >= _CALM_US
    channel.burst = 1 if is_calm else channel.burst + 1
    channel.told_us = now_us


def note_failure(channel: Channel, problem: str, now_us: int) -> None:
    """Tried again after a minute, then ever later, at least once an hour."""
    channel.failures += 1
    channel.problem = problem
    channel.failing_since_us = channel.failing_since_us or now_us
    channel.next_us = now_us + _RETRY_S[min(channel.failures, len(_RETRY_S)) - 1] * 1_000_000


def forget(state: State, channels: Collection[str], again_us: int, now_us: int) -> None:
    """Drop alerts that are over, once every channel knows and the rate limit no longer needs them."""
    for key, known in list(state.alerts.items()):
        if known.gone_us is None or since(known.gone_us, now_us) < SETTLE_US:
            continue
        of_channels = [told for name, told in known.told.items() if name in channels]
        if all(not told.is_open and since(told.at_us, now_us) >= again_us for told in of_channels):
            del state.alerts[key]


def message_id(channel: str, items: Iterable[Item]) -> str:
    """The same for the same news: what a crash sends a second time is known to be the same message."""
    parts = [channel]
    for item in items:
        told = item.alert.told.get(channel)
        parts += [item.what, item.alert.key, str(item.alert.first_us), str(told.at_us if told else 0)]
    return f"alert_{xxhash.xxh3_128_hexdigest(chr(0).join(parts).encode())}"


def _what(known: Known, told: Told | None, again_us: int, now_us: int) -> What | None:
    if known.gone_us is not None:
        is_over = since(known.gone_us, now_us) >= SETTLE_US
        return What.RESOLVED if told is not None and told.is_open and is_over else None
    if told is None:
        return What.NEW
    if _is_worse(known, told):
        return What.WORSE
    if since(told.at_us, now_us) < again_us:
        return None
    return What.AGAIN if told.is_open else What.NEW


def _is_worse(known: Known, told: Told) -> bool:
    if known.severity is not told.severity:
        return known.severity is Severity.CRITICAL
    return known.amount >= WORSE_TIMES * max(told.amount, 1)


def _was_over(known: Known) -> bool:
    """It was told to be over: what is found now is another one."""
    is_open = any(told.is_open for told in known.told.values())
    return known.gone_us is not None and bool(known.told) and not is_open


def since(then_us: int, now_us: int) -> int:
    """µs from then to now; of an instant in the future, told by a clock that was wrong, very long."""
    passed = now_us - then_us
    return _LONG_US if passed < -_SKEW_US else max(passed, 0)


def _facts(alert: Alert) -> dict[str, Any]:
    names = ("kind", "subject", "severity", "wrong", "do", "amount", "run_id")
    return {name: getattr(alert, name) for name in names}
