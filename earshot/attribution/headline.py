"""What a collaboration brought, in words that need no statistics."""

from __future__ import annotations

import math

from attribution.parameters import DEFAULTS
from earshot.attribution.model import Collaboration, Estimate, State, Verdict
from earshot.attribution.numbers import day, listeners, percent

COVERAGE = percent(DEFAULTS.coverage)  # of the intervals


def verdict_of(state: State, is_insufficient: bool, estimate: Estimate | None) -> Verdict:
    """What the number says, by where its interval lies."""
    if state is State.PLANNED:
        return Verdict.NOTHING_YET
    if state is State.NO_DATA:
        return Verdict.NO_DATA
    if is_insufficient or estimate is None:
        return Verdict.INSUFFICIENT
    if estimate.contains_zero:
        return Verdict.CANNOT_TELL
    return Verdict.GAIN if estimate.low > 0 else Verdict.LOSS


def in_short(
    verdict: Verdict,
    state: State,
    estimate: Estimate | None,
    forecast: Estimate | None,
    at_most: float | None,
) -> str:
    """The number for a list: `238 (181 to 296)`, `12 (−20 to 44): cannot tell`, `fewer than 9`."""
    if verdict is Verdict.INSUFFICIENT:
        text = "too little seen" if at_most is None else f"fewer than {at_least_whole(at_most)}"
    elif estimate is None:
        return "-"
    else:
        text = f"{listeners(estimate.value)} ({interval(estimate)})"
    if state is State.PROVISIONAL:
        text += " so far"
    if verdict is Verdict.CANNOT_TELL:
        text += ": cannot tell"
    if forecast is not None and verdict is not Verdict.INSUFFICIENT:
        text += f"; will be {listeners(forecast.value)}"
    return text


def headline(
    collaboration: Collaboration,
    state: State,
    verdict: Verdict,
    estimate: Estimate | None,
    forecast: Estimate | None,
    at_most: float | None,
    has_downloads: bool = True,
) -> tuple[str, ...]:
    """One to four sentences: the number, what it says, and whether it will change.

    has_downloads: whether the marts have any, of whatever show.
    """
    of = collaboration
    if verdict is Verdict.NOTHING_YET:
        return (
            f"Planned: it begins on {day(of.starts_at)}, so there is nothing to measure yet.",
            f"The first figures come with the builds after that day; they are final on {day(of.final_at)}.",
        )
    if verdict is Verdict.NO_DATA:
        return ("There is no data to measure it with.", _what_is_missing(of, has_downloads))
    if verdict is Verdict.INSUFFICIENT or estimate is None:
        return (*_too_little(state, at_most), _finality(of, state))
    return (_number(state, verdict, estimate), *_meaning(verdict, state), _becomes(of, state, forecast))


def _number(state: State, verdict: Verdict, estimate: Estimate) -> str:
    so_far = "So far about" if state is State.PROVISIONAL else "About"
    heads = "new listener" if listeners(estimate.value) == "1" else "new listeners"
    if verdict is Verdict.LOSS:
        fewer = listeners(abs(estimate.value))
        return (
            f"{so_far} {fewer} {heads} fewer than without it "
            f"({listeners(estimate.value)}, {COVERAGE} interval {interval(estimate)})."
        )
    if estimate.value <= 0:
        seen = "So far no gain is seen" if state is State.PROVISIONAL else "No gain was seen"
        return f"{seen} ({listeners(estimate.value)} {heads}, {COVERAGE} interval {interval(estimate)})."
    return f"{so_far} {listeners(estimate.value)} {heads} ({COVERAGE} interval {interval(estimate)})."


def _meaning(verdict: Verdict, state: State) -> tuple[str, ...]:
    if verdict is Verdict.CANNOT_TELL:
        yet = " yet" if state is State.PROVISIONAL else ""
        return (
            f"The data cannot{yet} tell this from no effect: 0 lies inside the interval, so it may have "
            "brought nobody.",
        )
    if verdict is Verdict.LOSS:
        return (
            "The whole interval lies below 0: fewer of those who heard it took up the show than of like "
            "listeners who did not.",
        )
    return ("Those who would have come anyway are taken off already.",)


def _too_little(state: State, at_most: float | None) -> tuple[str, ...]:
    so_far = "so far " if state is State.PROVISIONAL else ""
    if at_most is None:
        return (f"Too little was {so_far}seen to tell.",)
    text = f"{so_far}fewer than {at_least_whole(at_most)} new listeners: too little was seen to tell."
    return (text[0].upper() + text[1:],)


def _becomes(of: Collaboration, state: State, forecast: Estimate | None) -> str:
    if state is State.FINAL or forecast is None:
        return _finality(of, state)
    return (
        f"By {day(of.final_at)}, when the number is final, it is forecast to be about "
        f"{listeners(forecast.value)} ({interval(forecast)})."
    )


def _finality(of: Collaboration, state: State) -> str:
    if state is State.FINAL:
        return f"Final since {day(of.final_at)}."
    return f"Provisional: it is final on {day(of.final_at)}."


def _what_is_missing(of: Collaboration, has_downloads: bool) -> str:
    if not has_downloads:
        return "The marts have no downloads at all yet: no logs were taken in."
    unknown = [
        role if show_id is None else f"{show_id} ({role})"
        for show_id, title, role in (
            (of.show_id, of.show_title, "the show that was to grow"),
            (of.partner_show_id, of.partner_show_title, "the partner"),
        )
        if title is None
    ]
    if unknown:
        return (
            f"The marts know no downloads of {' and '.join(unknown)}: its logs and its catalogue must be "
            "taken in, under the same show_id."
        )
    if of.show_id == of.partner_show_id:
        return f"Both are {of.show} to the marts, and a show cannot collaborate with itself."
    if of.exposure_ends_at <= of.starts_at:
        return (
            f"It ended on {day(of.exposure_ends_at)}, before it began on {day(of.starts_at)}, the later of "
            "air date and start: declare it void "
            f"(`earshot collaboration end {of.collaboration_id} --void`) and add it anew."
        )
    if of.episode_id is not None and of.episode_key is None:
        return (
            f"The marts do not know the episode {of.episode_id} of {of.partner}: it comes with its feed or "
            "with the catalogue. If there is none, declare the collaboration void "
            f"(`earshot collaboration end {of.collaboration_id} --void`) and add it with another."
        )
    return f"It ran from {day(of.starts_at)}, before the logs begin."


def interval(estimate: Estimate) -> str:
    return f"{listeners(estimate.low)} to {listeners(estimate.high)}"


def at_least_whole(at_most: float) -> str:
    """An upper bound, never rounded down."""
    return f"{max(1, math.ceil(at_most)):,}"
