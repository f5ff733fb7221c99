"""What makes a number weaker than it looks, in one sentence, and what to do about it in another."""

from __future__ import annotations

from typing import Any

from attribution.parameters import ASSUMED, DEFAULTS
from earshot.attribution.model import Flag, State
from earshot.attribution.numbers import percent

Row = dict[str, Any]

INSUFFICIENT = Flag(
    "insufficient",
    f"Fewer than {DEFAULTS.least_exposed} listeners were exposed, or fewer than "
    f"{DEFAULTS.least_events:g} took up the show and were expected to: too few to tell from chance.",
    "Look at the partner or the type as a whole: fct_partner_lift, fct_show_lift_by_type.",
)
PRE_TREND = Flag(
    "pre_trend",
    "The partner's audience took up the show at an unusual rate before the collaboration, too (θ is more "
    f"than {DEFAULTS.pre_trend:g} standard errors from 1).",
    "Look for an earlier collaboration of the two that is not recorded, and record it.",
)
CONCURRENT_SPIKE = Flag(
    "concurrent_spike",
    "Listeners who heard nothing of the collaboration took up the show more than "
    f"{DEFAULTS.spike:g} times as often as before.",
    "Look for what else promoted the show in these weeks; a collaboration of its own is to be recorded.",
)
RECORDED_TWICE = Flag(
    "recorded_twice",
    "It and another collaboration were heard by the very same listeners at the same times: both get an equal "
    "part of one effect.",
    "If it is one that was recorded twice, declare one void: `earshot collaboration end ID --void`.",
)
NO_HISTORY = Flag(
    "no_history",
    "Nothing is known of how the partner's audience took up the show before: θ is taken to be 1.",
    "Let logs be kept longer (EARSHOT_KEEP_DAYS), and take older ones in if there are any.",
)
LINKABILITY_ASSUMED = Flag(
    "linkability_assumed",
    "λ is not measured on your own apps but assumed, so the interval was made "
    f"{percent(DEFAULTS.assumed_widening - 1)} wider.",
    "Deliver app_devices (app installs and their requests), from which λ is measured.",
)
NOT_CALIBRATED = Flag(
    "not_calibrated",
    f"Fewer than {DEFAULTS.least_triples} placebo triples were there to calibrate k: the interval may be too "
    "narrow.",
    "Read the interval with some caution; more shows and a longer history bring more of them.",
)
FLAGS = (
    INSUFFICIENT,
    PRE_TREND,
    CONCURRENT_SPIKE,
    RECORDED_TWICE,
    NO_HISTORY,
    LINKABILITY_ASSUMED,
    NOT_CALIBRATED,
)

NO_HISTORY_SOURCE = "none"  # of theta_source


def flags_of(lift: Row) -> tuple[Flag, ...]:
    """The flags of a row of fct_collaboration_lift, the gravest first."""
    if lift["state"] not in (State.PROVISIONAL, State.FINAL):
        return ()
    is_raised = {
        INSUFFICIENT: lift["is_insufficient"],
        PRE_TREND: lift["has_pre_trend"],
        CONCURRENT_SPIKE: lift["has_concurrent_spike"],
        RECORDED_TWICE: lift["is_split"],
        NO_HISTORY: lift["theta_source"] == NO_HISTORY_SOURCE,
        LINKABILITY_ASSUMED: lift["linkability_source"] == ASSUMED,
        NOT_CALIBRATED: lift["is_calibrated"] is False,
    }
    return tuple(flag for flag in FLAGS if is_raised[flag])
