"""What makes a number weaker than it looks, in one sentence, and what to do about it in another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from attribution.parameters import ASSUMED, DEFAULTS
from serving.attribution.counts import NO_HISTORY_SOURCE
from serving.attribution.model import State
from serving.attribution.numbers import day, percent
from serving.attribution.terms import Flag
from serving.attribution.told import twins_of

Row = dict[str, Any]

INSUFFICIENT = Flag(
    "insufficient",
    f"A number takes {DEFAULTS.least_exposed} listeners who were exposed and new to the show, as many others "
    f"to compare them with, and {DEFAULTS.least_events:g} who took it up or were expected to: of fewer, "
    "chance alone decides.",
    "Look at the partner or the type as a whole: `earshot attribution totals --by partner`.",
)
SHORT_LOOK_BACK = Flag(
    "short_look_back",
    "The logs of the show begin less than 60 days before the collaboration: old listeners look new, and no "
    "number can be given.",
    "Take in older logs of the show, if there are any.",
)
RECORDED_AFTERWARDS = Flag(
    "recorded_afterwards",
    "It was recorded when its exposure was over. If collaborations are chosen by what followed them, chance "
    "looks like an effect: of forty without any, two seem to have one.",
    "Record all of a partner's, those without success too, and record them before they air.",
)
PRE_TREND = Flag(
    "pre_trend",
    "The partner's audience took up the show at an unusual rate before the collaboration, too (θ is more "
    f"than {DEFAULTS.pre_trend:g} standard errors from 1).",
    "Look for an earlier collaboration of the two that is not recorded, and record it.",
)
CONCURRENT_SPIKE = Flag(
    "concurrent_spike",
    "Listeners who heard nothing of the collaboration took up the show far more often than before.",
    "Look for what else promoted the show in these weeks; a collaboration of its own is to be recorded.",
)
RECORDED_TWICE = Flag(
    "recorded_twice",
    "It and another collaboration were heard by the very same listeners at the same times: what each brought "
    "cannot be told apart. Each gets an equal part in sums.",
    "If it is one that was recorded twice, declare one void: `earshot collaboration end ID --void`.",
)
NO_HISTORY = Flag(
    "no_history",
    "Nothing is known of how the partner's audience took up the show before: θ is taken to be 1.",
    "Let logs be kept longer (EARSHOT_KEEP_DAYS), and take older ones in if there are any.",
)
LINKABILITY_ASSUMED = Flag(
    "linkability_assumed",
    "It is not known how many new listeners are seen under the address and app that heard the episode. "
    f"λ is assumed, and the interval made {percent(DEFAULTS.assumed_widening - 1)} wider.",
    "",
)
NOT_CALIBRATED = Flag(
    "not_calibrated",
    f"Fewer than {DEFAULTS.least_triples} placebo triples were there to calibrate k: the interval may be too "
    "narrow.",
    "Read the interval with some caution; more shows and a longer history bring more of them.",
)
FLAGS = (
    INSUFFICIENT,
    SHORT_LOOK_BACK,
    PRE_TREND,
    CONCURRENT_SPIKE,
    RECORDED_TWICE,
    RECORDED_AFTERWARDS,
    NO_HISTORY,
    LINKABILITY_ASSUMED,
    NOT_CALIBRATED,
)
# Of the installation rather than of the collaboration: a list says them once for all that have them.
OF_ALL = {
    LINKABILITY_ASSUMED.name: "λ is assumed",
    NOT_CALIBRATED.name: "k is not calibrated: intervals may be too narrow",
}


def flags_of(lift: Row, near: Sequence[Row] = ()) -> tuple[Flag, ...]:
    """The flags of a row of fct_collaboration_lift, the gravest first. near: other collaborations near it."""
    if lift["state"] not in (State.PROVISIONAL, State.FINAL):
        return ()
    is_raised = {
        INSUFFICIENT: lift["is_insufficient"],
        SHORT_LOOK_BACK: lift.get("has_look_back") is False,
        RECORDED_AFTERWARDS: lift.get("is_recorded_afterwards"),
        PRE_TREND: lift["has_pre_trend"],
        CONCURRENT_SPIKE: lift["has_concurrent_spike"],
        RECORDED_TWICE: lift["is_split"],
        NO_HISTORY: lift["theta_source"] == NO_HISTORY_SOURCE,
        LINKABILITY_ASSUMED: lift["linkability_source"] == ASSUMED,
        NOT_CALIBRATED: lift["is_calibrated"] is False,
    }
    return tuple(_of(flag, lift, near) for flag in FLAGS if is_raised[flag])


def _of(flag: Flag, lift: Row, near: Sequence[Row]) -> Flag:
    """With what is known of this one collaboration."""
    if flag is INSUFFICIENT and lift["state"] == State.PROVISIONAL:
        advice = f"Wait until there are data until {day(lift['final_at'])}: more may come. Or look at the "
        return replace(flag, advice=advice + flag.advice.removeprefix("Look at the "))
    now, before = lift.get("pool_rate"), lift.get("history_rate")
    if flag is CONCURRENT_SPIKE and now is not None and before is not None:
        rates = f": {percent(now)} of them, {percent(before)} before."
        return replace(flag, meaning=flag.meaning.removesuffix(".") + rates)
    twins = [row["collaboration_id"] for row in twins_of(lift, near)] if flag is RECORDED_TWICE else []
    if twins:
        end = f"`earshot collaboration end {max(twins)} --void`"
        others = ", ".join(map(str, twins))
        return replace(
            flag,
            meaning=flag.meaning.replace("another collaboration", f"collaboration {others}", 1),
            advice=f"If it is one that was recorded twice, declare one void: {end}.",
        )
    return flag
