"""What the marts tell of the effect: how far it is, and what the number says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from attribution.parameters import DEFAULTS
from registry.collaboration_days import EXPOSURE_DAYS, FOLLOW_UP_DAYS
from serving.attribution.model import Answer, Shortage, State, Together, Verdict
from serving.attribution.terms import Estimate

Row = dict[str, Any]

MEASURED = (State.PROVISIONAL, State.FINAL)
SIBLINGS_WITHIN = timedelta(days=EXPOSURE_DAYS + FOLLOW_UP_DAYS)  # of each other's start (int_siblings)
_SAME_RATE = 1e-9  # what one exposure brings of a listener is one number, but for rounding


def answer_of(lift: Row, others: Sequence[Row]) -> Answer:
    """Of a row of fct_collaboration_lift. others: rows of the same show: it may be recorded twice."""
    state = State(lift["state"])
    estimate, forecast = _estimates(lift)
    is_short = bool(lift["is_insufficient"])
    if state not in MEASURED or is_short:
        estimate = forecast = None
    together = None if estimate is None else _together(lift, others)
    shown = together.estimate if together else estimate
    verdict = verdict_of(state, shown)
    is_short = verdict is Verdict.INSUFFICIENT
    return Answer(
        state=state,
        verdict=verdict,
        estimate=estimate,
        forecast=forecast,
        at_most=lift["at_most"] if is_short and lift["exposed"] else None,
        shortage=_shortage(lift) if is_short else None,
        together=together,
    )


def twins_of(lift: Row, others: Sequence[Row]) -> list[Row]:
    """Those of `others` that are the same exposure as `lift`, recorded once more.

    The solve gives each of them the same rate, since it cannot tell them apart, and no other one has it.
    """
    if not lift["is_split"] or not lift["rate"]:
        return []
    return [
        other
        for other in others
        if other["is_split"]
        and other["collaboration_id"] != lift["collaboration_id"]
        and other["rate"]
        and math.isclose(other["rate"], lift["rate"], rel_tol=_SAME_RATE)
        and are_near(lift, other)
    ]


def are_near(one: Row, other: Row) -> bool:
    """Whether two collaborations of one show may have brought the same listeners."""
    apart = abs(one["starts_at"] - other["starts_at"])
    return bool(one["show_id"] == other["show_id"] and apart <= SIBLINGS_WITHIN)


def estimate_of(lift: Row, value: str, low: str, high: str) -> Estimate | None:
    """Three columns; None where any of them is null."""
    numbers = [lift[name] for name in (value, low, high)]
    return None if None in numbers else Estimate(*map(float, numbers))


def _estimates(lift: Row) -> tuple[Estimate | None, Estimate | None]:
    """So far, and at the end where that is to come."""
    so_far = estimate_of(lift, "new_listeners", "new_listeners_low", "new_listeners_high")
    forecast = estimate_of(lift, "forecast", "forecast_low", "forecast_high")
    return so_far, forecast if lift["state"] == State.PROVISIONAL else None


def _together(lift: Row, others: Sequence[Row]) -> Together | None:
    """The sum of all records of one exposure, and of their intervals' ends.

    That is its interval, too: their errors are one and the same, so they add up.
    """
    rows = [lift, *twins_of(lift, others)]
    if len(rows) == 1:
        return None
    parts = [_estimates(row) for row in rows]
    so_far = _sum([estimate for estimate, _ in parts])
    if so_far is None:
        return None
    ids = tuple(sorted(row["collaboration_id"] for row in rows[1:]))
    return Together(ids, so_far, _sum([forecast for _, forecast in parts]))


def _sum(parts: Sequence[Estimate | None]) -> Estimate | None:
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    return Estimate(*(sum(getattr(part, end) for part in known) for end in ("value", "low", "high")))


def verdict_of(state: State, estimate: Estimate | None) -> Verdict:
    """What the number says, by where its interval lies."""
    if state is State.PLANNED:
        return Verdict.NOTHING_YET
    if state is State.NO_DATA:
        return Verdict.NO_DATA
    if estimate is None:
        return Verdict.INSUFFICIENT
    if estimate.contains_zero:
        return Verdict.CANNOT_TELL
    return Verdict.GAIN if estimate.low > 0 else Verdict.LOSS


def _shortage(lift: Row) -> Shortage:
    return Shortage(
        lift["reach"] or 0,
        lift["exposed"] or 0,
        lift["converted"] or 0,
        float(lift["organic"] or 0),
        lift["pool_keys"] or 0,
        lift.get("has_look_back") is not False,
    )


def why_short(of: Shortage) -> str:
    """Which rule forbids a number, with what was seen."""
    p = DEFAULTS
    if not of.has_look_back:
        return "the show's logs do not reach back 60 days from its start, so old listeners look new"
    if not of.exposed:
        return "nobody who heard it had been known long enough, and was new to the show"
    if of.exposed < p.least_exposed:
        return f"exposed and new to the show were {of.exposed:,}, and it takes {p.least_exposed:,}"
    if not of.pool_keys:
        return "nobody listened at the same time with whom they could be compared"
    if of.pool_keys < p.least_exposed:
        return f"there are {of.pool_keys:,} to compare them with, and it takes {p.least_exposed:,}"
    if of.converted + of.organic < p.least_events:
        return (
            f"{of.converted:,} took up the show and {of.organic:.2g} were to be expected, together "
            f"{of.converted + of.organic:.2g}, and it takes {p.least_events:g}"
        )
    return "none of those who could be compared with them was followed for any time yet"
