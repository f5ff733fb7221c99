"""The page of an explanation: the same for a terminal and for Markdown, the answer first."""

from __future__ import annotations

from collections.abc import Iterator

from registry.collaboration_days import EXPOSURE_DAYS
from serving.attribution.blocks import Block, Grid, Items, Page, Picture, Section
from serving.attribution.compared import cohorts, placebo
from serving.attribution.gross import gross
from serving.attribution.headline import COVERAGE, interval
from serving.attribution.model import Explanation, State
from serving.attribution.numbers import count, day, exact, listeners, minute, money, percent
from serving.attribution.picture import picture
from serving.attribution.steps import DOCS
from serving.attribution.sums import calculation
from serving.attribution.terms import Cost


def page(of: Explanation) -> Page:
    """Everything that is known."""
    one = of.collaboration
    return Page(
        f"What collaboration {one.collaboration_id} brought to {one.show}",
        (*of.notices, *_about(of)),
        of.headline,
        tuple(section for section in _sections(of) if section.blocks),
        tuple(_foot(of)),
    )


def _about(of: Explanation) -> Iterator[str]:
    one = of.collaboration
    title = one.episode_title or one.episode_id
    where = f'"{title}" of {one.partner}' if title else f"all episodes of {one.partner}"
    yield f"{one.type.replace('_', ' ')} in {where} (tenant {one.tenant})"
    yield f"from {minute(one.starts_at)}"
    length = f"the first {EXPOSURE_DAYS} days, until" if one.is_cut else "until"
    yield f"measured: {length} {minute(one.exposure_ends_at)}; final with data until {day(one.final_at)}"


def _sections(of: Explanation) -> Iterator[Section]:
    sums, theta = of.calculation, of.placebo
    yield Section("The interval", "step 10", tuple(_interval(of)))
    if sums is not None:
        yield Section("How the number comes about", "steps 3 to 10", tuple(calculation(of, sums)))
        yield Section("Who was compared", "steps 3 to 6", tuple(cohorts(of, sums)))
        yield Section("The words", "steps 1 to 9", tuple(_words()))
    if theta is not None:
        yield Section("The partner's audience before (θ)", "step 6", tuple(placebo(of, theta)))
    yield Section("Other collaborations at the time", "step 8", tuple(_overlaps(of)))
    yield Section("The randomised holdout", "Randomised holdout", tuple(_holdout(of)))
    yield Section("What to keep in mind", "step 11", tuple(_flags(of)))
    yield Section("What a new listener cost", "Cost and retention", tuple(_cost(of)))
    yield Section("Did they stay?", "Cost and retention", tuple(_retained(of)))
    yield Section("Gross figures, and why they differ", "Gross figures", tuple(gross(of)))


def _interval(of: Explanation) -> Iterator[Block]:
    if of.shown is None:
        return
    named = [("so far" if of.state is State.PROVISIONAL else "final", of.shown)]
    if of.shown_forecast is not None:
        named.append(("forecast", of.shown_forecast))
    yield Picture(tuple(picture(named, _gross(of))))


def _gross(of: Explanation) -> float | None:
    """What is credited by the rule: of one recorded twice, to all its records."""
    if of.difference is None:
        return None
    twins = of.together.others if of.together else ()
    return of.difference.gross + sum(one.gross or 0.0 for one in of.overlaps if one.collaboration_id in twins)


def _words() -> Iterator[Block]:
    yield Items(
        (
            ("key", "an address with an app and its system, without versions: it stands for one listener."),
            ("to take up the show", "to download it within 30 days, after 60 days without."),
            ("sibling", "another collaboration of the same show that began within 44 days."),
            (
                "λ",
                "the share of new listeners whom we see under the key that heard the collaboration; the "
                "others take up the show under another one, such as the computer at home.",
            ),
        )
    )


def _overlaps(of: Explanation) -> Iterator[Block]:
    if not of.siblings and not of.overlaps:
        return
    heard = ""
    if of.overlap_share is not None:
        which = "it" if of.siblings == 1 else "the one that most of them heard"
        heard = f" Of the exposed, {percent(of.overlap_share)} heard {which}, too."
    others = "1 sibling" if of.siblings == 1 else f"{count(of.siblings)} siblings"
    yield (
        f"{others} of {of.collaboration.show} ran within the same weeks.{heard} Each gets the part of the "
        "excess that fits what all of them brought, wherever they were heard alone or together."
    )
    if of.overlaps:
        rows = [
            (
                str(one.collaboration_id),
                one.partner,
                day(one.starts_at) if one.starts_at else "-",
                count(one.common_keys),
                exact(one.converted_by_other),
                *("-" if number is None else exact(number) for number in (one.rate, one.brought)),
            )
            for one in of.overlaps
        ]
        columns = ("id", "with", "from", "heard both", "weight", "rate", "brought")
        yield Grid(columns, tuple(rows), texts=3)
        yield (
            "Weight: those who heard both, each for the share of the other's effect that falls into the 30 "
            "days in which they are followed here. Weight × rate is what the other brought of the excess."
        )


def _holdout(of: Explanation) -> Iterator[Block]:
    if of.holdout is None:
        return
    held_out, number = of.holdout, of.holdout.estimate
    yield (
        f"Dynamic insertion left it out for {count(held_out.keys)} like listeners, of whom "
        f"{count(held_out.converted)} took up {of.collaboration.show}. Set against the exposed, "
        f"that alone makes {listeners(number.value)} new listeners ({COVERAGE} interval {interval(number)}). "
        "Chance chose them, so where the numbers differ by more than their intervals, believe this one."
    )


def _flags(of: Explanation) -> Iterator[Block]:
    if of.flags:
        yield Items(tuple((flag.name, f"{flag.meaning} {flag.advice}".strip()) for flag in of.flags))
    if of.calculation is not None:
        yield "Not measured: who heard of the show from a listener at home, and listening without download."


def _cost(of: Explanation) -> Iterator[Block]:
    if of.cost is None:
        return
    cost, number = of.cost, of.shown
    whole = money(cost.cost, cost.currency)
    if of.together is not None:
        yield "The cost is that of all its records, by what they brought together."
    if cost.per_new_listener is None or number is None or number.value <= 0:
        if cost.low is None:
            yield f"It cost {whole}. Without a number above 0 there is no cost per new listener."
        else:
            yield (
                f"It cost {whole}: at least {money(cost.low, cost.currency)} each for the most new listeners "
                "that there may be. There is no upper end, since it may have brought nobody."
            )
        return
    which = "new listeners so far" if of.state is State.PROVISIONAL else "new listeners"
    yield (
        f"{whole} ÷ {exact(number.value)} {which} = {money(cost.per_new_listener, cost.currency)} each "
        f"({COVERAGE} interval: {_bounds(cost)})."
    )


def _bounds(cost: Cost) -> str:
    least = "-" if cost.low is None else money(cost.low, cost.currency)
    if cost.high is None:
        return f"from {least}, without an upper end: it may have brought nobody"
    return f"{least} to {money(cost.high, cost.currency)}"


def _retained(of: Explanation) -> Iterator[Block]:
    if of.calculation is None or of.calculation.own is None:
        return
    if not of.retained:
        yield "Too uncertain to tell: it is told where the whole interval lies above 0."
        return
    parts = [
        f"{exact(one.listeners)} ({percent(one.share)}) downloaded {one.episodes} or more episodes"
        for one in of.retained
    ]
    whose = "its own part of the excess" if of.siblings else "the excess"
    yield (
        f"Of {whose}, {exact(of.calculation.own)}, {' and '.join(parts)} of the show within 28 days; what is "
        "usual for those who come anyway is taken off."
    )


def _foot(of: Explanation) -> Iterator[str]:
    as_of = f"Data as of {minute(of.as_of)}; marts" if of.as_of else "Marts"
    model = f"; model {of.model_version}" if of.model_version else ""
    yield f"{as_of} version {of.version} of {of.made_at}{model}."
    yield f"Steps and sections in brackets are those of {DOCS}."
