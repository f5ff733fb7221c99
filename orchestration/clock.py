"""Intervals by a wall clock that may be set back: what was noted in the future was noted by a wrong clock."""

from __future__ import annotations

_SLACK_S = 5.0  # of two readings of one clock that is slewed


def has_passed(seconds: float, since_s: float, now_s: float) -> bool:
    """Whether so many seconds have passed since `since_s` (epoch); also where that lies ahead."""
    return now_s - since_s >= seconds or since_s > now_s + _SLACK_S
