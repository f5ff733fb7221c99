"""When a podcast is polled next, and why: a pure function of its crawl state (UPDATES §4).

    base = clamp(α × median gap of the last 20 publications, tier)
    next_due = now + max(base, max-age, ttl, Retry-After) + U(0, base/4)

A tier's longest base is four fifths of its promise, so that base and jitter together keep it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from ingest.feeds.reasons import Reason
from ingest.feeds.recurrence import HOUR_US
from ingest.feeds.rhythm import Rhythm, rhythm_of, skipped_until
from ingest.feeds.schema import Record, Tier
from ingest.schema import DAY_US

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US

# The freshness promised: a healthy podcast of that tier is polled at least so often, unless its own server
# asks for more time (max-age, ttl, Retry-After, skipHours) or tells us of its changes (podping, WebSub).
PROMISE_S: dict[Tier, int] = {
    Tier.HOT: 15 * 60,
    Tier.ACTIVE: 3600,
    Tier.REGULAR: 6 * 3600,
    Tier.SLOW: 86400,
    Tier.INACTIVE: 7 * 86400,
    Tier.DEAD: 30 * 86400,
}
# A tier's promise is broken when more than this share of it is late.
MAX_OVERDUE_SHARE = 0.01
# The least: no podcast of that tier is polled more often by schedule.
FLOOR_S: dict[Tier, int] = {
    Tier.HOT: 5 * 60,
    Tier.ACTIVE: 15 * 60,
    Tier.REGULAR: 3600,
    Tier.SLOW: 6 * 3600,
    Tier.INACTIVE: 2 * 86400,
    Tier.DEAD: 24 * 86400,
}
# The longest time between publications of a tier. Silence counts as a quarter of its length, so that a
# podcast that stopped glides down; half a year of it is inactive.
_LONGEST_GAP_US: dict[Tier, int] = {
    Tier.HOT: 4 * HOUR_US,
    Tier.ACTIVE: 2 * DAY_US,
    Tier.REGULAR: 15 * DAY_US,
}
_SILENCE_PART = 4
_INACTIVE_US = 180 * DAY_US

_WITHIN, _OUTSIDE = 8, 2  # α = 1/8 when an episode is expected, 1/2 otherwise
_JITTER_PART = 4
# base + base/4 = promise
_BASE_OF_PROMISE_US = SECOND_US * _JITTER_PART // (_JITTER_PART + 1)

CACHE_CAP_US = DAY_US
RETRY_LEAST_US, RETRY_MOST_US, _RETRY_DOUBLINGS = HOUR_US, 7 * DAY_US, 6

_HINTED_FOR_US = 30 * DAY_US
_HINTED_TIMES = 12
_LONGEST_HINTED_US = 86400 * _BASE_OF_PROMISE_US  # at most daily, its jitter included
_HINT_WAITS_US = DAY_US  # a notice that brought no change yet: polled as if there were none, for a day
# A notice is followed at once, but not sooner after the last poll than this.
HINT_FLOOR_US = FLOOR_S[Tier.HOT] * SECOND_US
_HINT_FLOOR_FAILING_US = RETRY_LEAST_US
_HINT_FLOOR_LOST_US = DAY_US

GONE_TIMES, GONE_OVER_US = 3, 3 * DAY_US
DEAD_AFTER_US = 30 * DAY_US
_DEAD_REASONS = (Reason.NOT_FOUND, Reason.DNS)
# A poll further in the future was made by a clock that was wrong: when it is due next is not to be believed.
CLOCK_SKEW_US = 10 * MINUTE_US
NEVER_US = int(datetime(9999, 1, 1, tzinfo=UTC).timestamp()) * SECOND_US


@dataclass(frozen=True)
class Due:
    """The tier, one line on why and how often, and when: `NEVER_US` for what is not polled any more."""

    tier: Tier
    reason: str
    next_due_us: int


def next_due(state: Record, now_us: int, jitter: float) -> Due:
    """When the podcast of a STATE row is polled next, after a poll at `now_us`. `jitter` in [0, 1)."""
    rhythm = rhythm_of(state, now_us)
    tier = lost_tier(state, now_us) or living_tier(state, rhythm)
    if state["polled_us"] is None:
        return Due(tier, f"{tier}: not fetched yet; due at once", now_us)
    if tier is Tier.GONE:
        return Due(tier, f"gone: {_since_gone(state)}; not polled any more", NEVER_US)
    base = base_us(state, tier, rhythm, now_us)
    failures = state["failures"] or 0
    delay = _retry_us(base, failures) if failures and tier is not Tier.DEAD else base
    wait, asks = max(_asked(state, now_us))
    due = now_us + max(delay, wait)
    allowed = skipped_until(state, due)
    if allowed > due:
        asks = "skipHours or skipDays"
    told = f", as its {asks} asks" if allowed > now_us + delay else ""
    often = _span(allowed - now_us)
    if tier is Tier.DEAD:
        line = f"{_failing(state)}; probed monthly"
    elif failures:
        line = f"{_failing(state)}; tried again after {often}"
    else:
        told = told or (", since it tells us of changes" if _is_told(state, now_us) else "")
        line = f"{_publishing(state, rhythm)}; polled every {often}"
    if state["reason"] == Reason.FLAPPING:
        told += "; alternates between contents"
    # The jitter comes after what the server asked for: nobody is back before that.
    jitter_us = int(min(max(jitter, 0.0), 1.0) * (base // _JITTER_PART))
    return Due(tier, f"{tier}: {line}{told}", allowed + jitter_us)


def base_us(state: Record, tier: Tier, rhythm: Rhythm, now_us: int) -> int:
    """Between two polls of a healthy podcast: α × gap within the tier, ×12 when we are told of changes."""
    base = rhythm.gap_us // (_WITHIN if rhythm.is_expected else _OUTSIDE)
    base = min(max(base, FLOOR_S[tier] * SECOND_US), PROMISE_S[tier] * _BASE_OF_PROMISE_US)
    if tier is not Tier.DEAD and _is_told(state, now_us):
        base = max(base, min(base * _HINTED_TIMES, _LONGEST_HINTED_US))
    return base


def living_tier(state: Record, rhythm: Rhythm) -> Tier:
    """The tier of a podcast that is neither dead nor gone, by its rhythm."""
    silent = rhythm.silent_us or 0
    if state["is_complete"] or silent >= _INACTIVE_US:
        return Tier.INACTIVE
    gap = max(rhythm.gap_us, silent // _SILENCE_PART)
    return next((tier for tier, longest in _LONGEST_GAP_US.items() if gap <= longest), Tier.SLOW)


def lost_tier(state: Record, now_us: int) -> Tier | None:
    """GONE: 410 three times over three days. DEAD: no good answer for 30 days, the last one 404 or no name.

    Both last until a good answer. None: alive, or failing for not so long.
    """
    if not state["failures"]:
        return None
    gone_since_us, failing_since_us = state["gone_since_us"] or now_us, state["failing_since_us"] or now_us
    is_gone = (state["gone_seen"] or 0) >= GONE_TIMES and now_us - gone_since_us >= GONE_OVER_US
    if is_gone or state["tier"] == Tier.GONE:
        return Tier.GONE
    is_dead = state["reason"] in _DEAD_REASONS and now_us - failing_since_us >= DEAD_AFTER_US
    return Tier.DEAD if is_dead or state["tier"] == Tier.DEAD else None


def hint(state: Record, hinted_us: int, now_us: int) -> Record:
    """The state after a notice (podping, WebSub, change file) of a change at `hinted_us`.

    Pulls the next poll forward to now, yet not within 5 minutes of the last one (failing: 1 hour, dead or
    gone: 1 day) and not before Retry-After: a flood of notices is one poll each 5 minutes. A notice of what
    was fetched since changes nothing but `hinted_us`.
    """
    hinted_us = min(hinted_us, now_us)
    hinted = state | {"hinted_us": max(hinted_us, state["hinted_us"] or hinted_us)}
    polled, fetched = state["polled_us"], state["fetched_us"]
    is_known = fetched is not None and hinted_us <= fetched <= now_us
    if polled is None or state["next_due_us"] is None or is_known:
        return hinted
    if state["tier"] in (Tier.DEAD, Tier.GONE):
        floor = _HINT_FLOOR_LOST_US
    else:
        floor = _HINT_FLOOR_FAILING_US if state["failures"] else HINT_FLOOR_US
    soonest = max(now_us, min(polled, now_us) + floor, state["retry_after_us"] or 0)
    return hinted | {"next_due_us": min(state["next_due_us"], soonest)}


def is_due(state: Record, end_of_tick_us: int) -> bool:
    """Whether the podcast is to be polled in the tick that ends then; at once when it never was."""
    due, polled = state["next_due_us"], state["polled_us"]
    return polled is None or due is None or due <= end_of_tick_us or polled > end_of_tick_us + CLOCK_SKEW_US


def due_frame(state: pl.DataFrame, end_of_tick_us: int) -> pl.DataFrame:
    """The rows of STATE that `is_due`."""
    due, polled = pl.col("next_due_us"), pl.col("polled_us")
    is_ahead = polled > end_of_tick_us + CLOCK_SKEW_US
    return state.filter(polled.is_null() | due.is_null() | (due <= end_of_tick_us) | is_ahead)


def overdue(state: pl.DataFrame, now_us: int) -> pl.DataFrame:
    """tier, podcasts, overdue: of STATE rows, how many are late by more than their tier's promise allows."""
    promised = pl.col("tier").replace_strict(
        {tier.value: seconds * SECOND_US for tier, seconds in PROMISE_S.items()}, default=None,
        return_dtype=pl.Int64,
    )  # fmt: skip
    healthy = pl.col("failures").fill_null(0) == 0
    # Asked by its server to wait longer, a podcast is late only when it was due long ago.
    late = (pl.col("next_due_us") < now_us) & (now_us - pl.col("polled_us") > promised) & healthy
    return (
        state.filter(pl.col("tier").is_not_null() & (pl.col("tier") != Tier.GONE.value))
        .group_by("tier")
        .agg(podcasts=pl.len(), overdue=late.fill_null(False).sum().cast(pl.Int64))
        .sort("tier")
    )


def _retry_us(base: int, failures: int) -> int:
    return min(max(base << min(failures, _RETRY_DOUBLINGS), RETRY_LEAST_US), RETRY_MOST_US)


def _asked(state: Record, now_us: int) -> list[tuple[int, str]]:
    """(µs from now, what asks for it): how long the server wants us to wait, each at most 24 h."""
    waits = {
        "Cache-Control": (state["max_age_s"] or 0) * SECOND_US,
        "ttl": (state["ttl_min"] or 0) * MINUTE_US,
        "Retry-After": (state["retry_after_us"] or 0) - now_us,
    }
    return [(min(max(wait, 0), CACHE_CAP_US), name) for name, wait in waits.items()]


def _is_told(state: Record, now_us: int) -> bool:
    """Seen through podping or WebSub in 30 days, the last notice not one that still waits for its change."""
    hinted = state["hinted_us"]
    if hinted is None or now_us - hinted > _HINTED_FOR_US:
        return False
    return now_us - hinted > _HINT_WAITS_US or bool((state["changed_us"] or 0) >= hinted)


def _publishing(state: Record, rhythm: Rhythm) -> str:
    every = f"every {_span(rhythm.gap_us)}"
    if state["is_complete"]:
        said = "complete: no more episodes will come"
    elif rhythm.source == "rule":
        said = f"says it publishes {every}"
    elif rhythm.source == "default":
        said = "too few episodes to tell its rhythm"
    else:
        said = f"publishes {every}"
        if rhythm.hours is not None:
            first, length = rhythm.hours
            said += f", usually {first:02}–{(first + length - 1) % 24 + 1:02} UTC"
    silent = rhythm.silent_us or 0
    if not state["is_complete"] and silent // _SILENCE_PART > rhythm.gap_us:
        said = said.replace("publishes", "published") + f", nothing new for {_span(silent)}"
    return said


def _failing(state: Record) -> str:
    times = "once" if state["failures"] == 1 else f"{state['failures']} times"
    return f"{state['reason']} {times} since {_day(state['failing_since_us'])}"


def _since_gone(state: Record) -> str:
    if not state["gone_since_us"]:
        return "no longer there"
    return f"answered 410 Gone {state['gone_seen']} times since {_day(state['gone_since_us'])}"


def _day(when_us: int | None) -> str:
    return "?" if when_us is None else f"{datetime.fromtimestamp(when_us / 1e6, UTC):%Y-%m-%d}"


def _span(length_us: int) -> str:
    """For people: 50 min, 6 h, 1.1 days."""
    minutes = length_us / MINUTE_US
    if minutes < 90:
        return f"{max(round(minutes), 1)} min"
    if minutes < 36 * 60:
        return f"{minutes / 60:.1f}".removesuffix(".0") + " h"
    if minutes < 100 * 1440:
        return f"{minutes / 1440:.1f}".removesuffix(".0") + " days"
    return f"{round(minutes / 1440)} days"
