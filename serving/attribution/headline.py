"""What a collaboration brought, in words that need no statistics."""

from __future__ import annotations

import math
from datetime import datetime

from attribution.parameters import DEFAULTS
from serving.attribution.model import Answer, Collaboration, State, Verdict
from serving.attribution.numbers import day, listeners, percent
from serving.attribution.terms import Estimate
from serving.attribution.told import why_short

COVERAGE = percent(DEFAULTS.coverage)  # of the intervals


def in_short(of: Answer) -> str:
    """The number for a list: `238 (181 to 296)`, `12 (−20 to 44): cannot tell`, `fewer than 9`."""
    number = of.shown
    if of.verdict is Verdict.INSUFFICIENT:
        text = "too little seen" if of.at_most is None else f"fewer than {at_least_whole(of.at_most)}"
    elif number is None:
        return "-"
    else:
        text = f"{listeners(number.value)} ({interval(number)})"
    if of.state is State.PROVISIONAL:
        text += " so far"
    if of.together is not None:
        text += f", with {ids(of.together.others)}"
    if of.verdict is Verdict.CANNOT_TELL:
        text += ": cannot tell"
    if of.shown_forecast is not None:
        text += f"; forecast {listeners(of.shown_forecast.value)} ({interval(of.shown_forecast)})"
    return text


def headline(of: Collaboration, told: Answer, as_of: datetime | None) -> tuple[str, ...]:
    """One to four sentences: the number, what it says, and whether it will change.

    as_of: of the newest download of whatever show; None: the marts have none.
    """
    if told.verdict is Verdict.NOTHING_YET:
        return (
            f"Planned: it begins on {day(of.starts_at)}, so there is nothing to measure yet.",
            f"The first figures come with the builds after that day; they are final on {day(of.final_at)}.",
        )
    if told.verdict is Verdict.NO_DATA:
        return ("There is no data to measure it with.", _what_is_missing(of, as_of is not None))
    number = told.shown
    if number is None:
        return (*_too_little(told), _finality(of, told.state, as_of))
    return (
        _number(told, number),
        *_not_apart(told),
        *_meaning(told),
        _becomes(of, told, as_of),
    )


def _number(of: Answer, number: Estimate) -> str:
    so_far = "So far about" if of.state is State.PROVISIONAL else "About"
    heads = "new listener" if listeners(number.value) == "1" else "new listeners"
    within = f"{COVERAGE} interval {interval(number)}"
    together = f", together with {named(of.together.others)}" if of.together else ""
    if of.verdict is Verdict.LOSS:
        fewer = listeners(abs(number.value))
        return (
            f"{so_far} {fewer} {heads} fewer than without it ({listeners(number.value)}, {within}){together}."
        )
    if number.value <= 0:
        seen = "So far no gain is seen" if of.state is State.PROVISIONAL else "No gain was seen"
        return f"{seen} ({listeners(number.value)} {heads}, {within}){together}."
    return f"{so_far} {listeners(number.value)} {heads} ({within}){together}."


def _not_apart(of: Answer) -> tuple[str, ...]:
    if of.together is None:
        return ()
    return ("The same listeners heard them at the same times: what each brought cannot be told apart.",)


def _meaning(of: Answer) -> tuple[str, ...]:
    if of.verdict is Verdict.CANNOT_TELL:
        yet = " yet" if of.state is State.PROVISIONAL else ""
        return (
            f"The data cannot{yet} tell this from no effect: 0 lies inside the interval, so it may have "
            "brought nobody.",
        )
    if of.verdict is Verdict.LOSS:
        return (
            "The whole interval lies below 0: fewer of those who heard it took up the show than of like "
            "listeners who did not.",
        )
    return ("Those who would have come anyway are taken off already.",)


def _too_little(of: Answer) -> tuple[str, ...]:
    so_far = "so far " if of.state is State.PROVISIONAL else ""
    shortage = of.shortage
    if shortage is not None and not shortage.exposed:
        if not shortage.reach:
            return (f"Nothing can be said: {so_far}nobody downloaded it.",)
        return (
            f"Nothing can be said: {so_far}nobody who heard it had been known for four weeks, and was new "
            "to the show.",
        )
    why = f" Why: {why_short(shortage)}." if shortage is not None else ""
    if of.at_most is None:
        return (f"Too little was {so_far}seen to tell.{why}",)
    text = f"{so_far}fewer than {at_least_whole(of.at_most)} new listeners: too little was seen to tell.{why}"
    return (text[0].upper() + text[1:],)


def _becomes(of: Collaboration, told: Answer, as_of: datetime | None) -> str:
    forecast = told.shown_forecast
    if told.state is State.FINAL or forecast is None:
        return _finality(of, told.state, as_of)
    return (
        f"In the end, with data until {day(of.final_at)}{_until(as_of)}, it is forecast to be about "
        f"{listeners(forecast.value)} ({interval(forecast)})."
    )


def _finality(of: Collaboration, state: State, as_of: datetime | None) -> str:
    if state is State.FINAL:
        return f"Final since {day(of.final_at)}."
    return f"Provisional: it is final once there are data until {day(of.final_at)}{_until(as_of)}."


def _until(as_of: datetime | None) -> str:
    return f" (they end on {day(as_of)})" if as_of is not None else ""


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
            "taken in, under the same show id."
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


def ids(numbers: tuple[int, ...]) -> str:
    """`14`, `14 and 15`, `14, 15 and 16`."""
    *front, last = map(str, numbers)
    return f"{', '.join(front)} and {last}" if front else last


def named(numbers: tuple[int, ...]) -> str:
    return f"collaboration{'s' if len(numbers) > 1 else ''} {ids(numbers)}"


def at_least_whole(at_most: float) -> str:
    """An upper bound, never rounded down."""
    return f"{max(1, math.ceil(at_most)):,}"
