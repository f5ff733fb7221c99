"""How a podcast publishes, as its history tells: how often, when, since when no more (UPDATES §4)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from statistics import median

from ingest.feeds.recurrence import HOUR_US, parse_rule
from ingest.feeds.schema import Record
from ingest.schema import DAY_US

MOST_PUBLICATIONS = 20
DEFAULT_GAP_US = 7 * DAY_US  # with fewer than two dates and no rule: as most podcasts do
_USUAL_SHARE = 0.8  # of the publications, in at most so many hours of the day: these are its usual ones
_USUAL_HOURS = 8
_FEWEST_FOR_HOURS = 4


@dataclass(frozen=True)
class Rhythm:
    """`hours`: (first hour UTC, number of hours); null: no hours are usual."""

    gap_us: int
    source: str  # history | rule | default
    silent_us: int | None  # since the newest publication, else since its content last changed; null: unknown
    hours: tuple[int, int] | None
    is_expected: bool  # an episode may come now: usual hours, the rule, or nothing known of either


def rhythm_of(state: Record, now_us: int) -> Rhythm:
    """The rhythm of a STATE row. Dates after now are left out."""
    dates = sorted({when for when in state["publications_us"] or () if when <= now_us})[-MOST_PUBLICATIONS:]
    rule = parse_rule(state["update_rule"]) if state["update_rule"] else None
    if len(dates) > 1:
        gap_us, source = int(median(b - a for a, b in pairwise(dates))), "history"
    elif rule is not None:
        gap_us, source = rule.gap_us, "rule"
    else:
        gap_us, source = DEFAULT_GAP_US, "default"
    last_us = dates[-1] if dates else state["changed_us"]
    hours = usual_hours(dates)
    if hours is None and rule is None:
        is_expected = True
    else:
        hour = _hour(now_us)
        is_expected = (hours is not None and (hour - hours[0]) % 24 < hours[1]) or (
            rule is not None and rule.is_expected(now_us)
        )
    return Rhythm(gap_us, source, None if last_us is None else max(now_us - last_us, 0), hours, is_expected)


def usual_hours(dates: list[int]) -> tuple[int, int] | None:
    """(first hour UTC, number): the shortest run of hours with 80 % of the publications, up to 8 hours."""
    if len(dates) < _FEWEST_FOR_HOURS:
        return None
    hours = sorted(_hour(when) for when in dates)
    most = math.ceil(_USUAL_SHARE * len(hours))
    around = hours + [hour + 24 for hour in hours]
    length, first = min(
        (around[place + most - 1] - hour + 1, hour) for place, hour in enumerate(around[: len(hours)])
    )
    return (first, length) if length <= _USUAL_HOURS else None


def skipped_until(state: Record, due_us: int) -> int:
    """`due_us`, or the first hour after it that skipHours and skipDays do not refuse; at most a day later."""
    hours, days = set(state["skip_hours"] or ()), set(state["skip_days"] or ())
    if not (hours or days) or len(hours) >= 24 or len(days) >= 7:  # to refuse all means nothing
        return due_us
    moved = due_us
    while moved < due_us + DAY_US:
        when = datetime.fromtimestamp(moved / 1e6, UTC)
        if when.hour not in hours and f"{when:%A}" not in days:
            return moved
        moved = (moved // HOUR_US + 1) * HOUR_US
    return due_us + DAY_US


def _hour(when_us: int) -> int:
    return when_us // HOUR_US % 24
