"""The page of an explanation: words, sums, tables and a picture, the same for a terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from attribution.parameters import DEFAULTS, PriorOn
from earshot.attribution.headline import COVERAGE
from earshot.attribution.model import Calculation, Explanation, Placebo, State, Verdict
from earshot.attribution.numbers import count, day, exact, listeners, minute, money, share
from earshot.attribution.picture import picture
from earshot.attribution.steps import DOCS, Step

RULES = ("last_touch", "first_touch", "linear", "time_decay")  # of credit, as columns


@dataclass(frozen=True)
class Sum:
    """One line of a calculation: what it is, how it comes about, which step of the rule it is."""

    what: str
    sum: str
    step: Step


@dataclass(frozen=True)
class Sums:
    lines: tuple[Sum, ...]


@dataclass(frozen=True)
class Grid:
    """A table; `texts` is how many of its columns, from the left, are no numbers."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int = 1


@dataclass(frozen=True)
class Picture:
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Items:
    """Named things, each with its sentences."""

    items: tuple[tuple[str, str], ...]


Block = str | Sums | Grid | Picture | Items


@dataclass(frozen=True)
class Section:
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Page:
    title: str
    about: tuple[str, ...]
    headline: tuple[str, ...]
    sections: tuple[Section, ...]
    foot: tuple[str, ...]


def page(of: Explanation) -> Page:
    """Everything that is known, the answer first."""
    one = of.collaboration
    return Page(
        f"What collaboration {one.collaboration_id} brought to {one.show}",
        tuple(_about(of)),
        of.headline,
        tuple(Section(title, blocks) for title, blocks in _sections(of) if blocks),
        tuple(_foot(of)),
    )


def _about(of: Explanation) -> Iterator[str]:
    one = of.collaboration
    what = f'"{one.episode_title or one.episode_id}" of ' if one.episode_title or one.episode_id else ""
    yield f"{one.type} with {what}{one.partner}; tenant {one.tenant}"
    yield (
        f"heard from {minute(one.starts_at)} to {minute(one.exposure_ends_at)}; final on {day(one.final_at)}"
    )


def _sections(of: Explanation) -> Iterator[tuple[str, tuple[Block, ...]]]:
    yield "The interval", tuple(_interval(of))
    if of.calculation is not None:
        yield "How the number comes about", tuple(_calculation(of, of.calculation))
        yield "Who was compared", tuple(_cohorts(of, of.calculation))
    if of.placebo is not None:
        yield "The partner's audience before (θ)", tuple(_placebo(of, of.placebo))
    yield "Other collaborations at the same time", tuple(_overlaps(of))
    yield "What to keep in mind", tuple(_flags(of))
    yield "Cost", tuple(_cost(of))
    yield "Did they stay?", tuple(_retained(of))
    yield "Gross figures, and why they differ", tuple(_gross(of))


def _interval(of: Explanation) -> Iterator[Block]:
    if of.estimate is None:
        return
    named = [("so far" if of.state is State.PROVISIONAL else "final", of.estimate)]
    if of.forecast is not None:
        named.append(("forecast", of.forecast))
    yield Picture(tuple(picture(named, of.difference.gross if of.difference else None)))


def _calculation(of: Explanation, sums: Calculation) -> Iterator[Block]:
    lines = [
        Sum("listeners reached, N", count(sums.reach), Step.EXPOSED),
        Sum("of those known for long enough, knew the show", share(sums.known_share), Step.COHORT),
        Sum("exposed: known for long enough, new to the show, n", count(sums.exposed), Step.EXPOSED),
        Sum("of them took up the show, x", count(sums.converted), Step.EXPOSED),
        Sum(
            "expected of like listeners who did not hear it (table below)",
            exact(sums.base),
            Step.POOL,
        ),
        Sum(
            "would have come anyway, O = θ × expected",
            f"{exact(sums.theta)} × {exact(sums.base)} = {exact(sums.organic)}",
            Step.ORGANIC,
        ),
        Sum(
            "excess, E = x − O",
            f"{count(sums.converted)} − {exact(sums.organic)} = {exact(sums.excess)}",
            Step.ORGANIC,
        ),
    ]
    if of.estimate is not None and sums.own is not None and sums.scaled is not None:
        if of.siblings and sums.of_siblings is not None:
            sign = (
                f"− {exact(sums.of_siblings)}" if sums.of_siblings >= 0 else f"+ {exact(-sums.of_siblings)}"
            )
            lines.append(
                Sum(
                    "less what other collaborations brought",
                    f"{exact(sums.excess)} {sign} = {exact(sums.own)}",
                    Step.OVERLAP,
                )
            )
        lines += [
            Sum(
                "reached and new to the show",
                f"{count(sums.reach)} × (1 − {exact(sums.known_share)}) = {exact(sums.not_known)}",
                Step.SCALE,
            ),
            Sum(
                "scaled from the exposed to them",
                f"{exact(sums.own)} × {exact(sums.not_known)} ÷ {count(sums.exposed)} = {exact(sums.scaled)}",
                Step.SCALE,
            ),
            Sum(
                "÷ λ, for those whose key changed meanwhile",
                f"{exact(sums.scaled)} ÷ {exact(sums.linkability)} = {exact(of.estimate.value)}",
                Step.SCALE,
            ),
        ]
        lines += _error(of, sums)
    yield Sums(tuple(lines))
    if of.verdict is Verdict.INSUFFICIENT:
        yield "No number is made of so few; the upper bound is the most that these counts allow (step 11)."
    yield from _in_proportion(sums)
    yield _linkability(sums)


def _error(of: Explanation, sums: Calculation) -> Iterator[Sum]:
    if of.estimate is None or sums.se is None or sums.k is None:
        return
    wider = f" × {sums.widening:g}" if sums.widening != 1 else ""
    names = "k × standard error" if not wider else "k × wider, λ being assumed × standard error"
    half = (of.estimate.high - of.estimate.low) / 2
    yield Sum(names, f"{exact(sums.k)}{wider} × {exact(sums.se)} = {exact(half)}", Step.INTERVAL)
    yield Sum(
        f"{COVERAGE} interval",
        f"{exact(of.estimate.value)} ± {exact(half)} = {exact(of.estimate.low)} to {exact(of.estimate.high)}",
        Step.INTERVAL,
    )
    if of.forecast is not None and of.forecast.value and of.estimate.value:
        come = of.estimate.value / of.forecast.value
        yield Sum(
            "share that has usually come by now, and the forecast",
            f"{exact(of.estimate.value)} ÷ {exact(come)} = {exact(of.forecast.value)}",
            Step.SCALE,
        )


def _in_proportion(sums: Calculation) -> Iterator[str]:
    if sums.conversion_rate is not None:
        yield (
            f"That is {share(sums.conversion_rate)} of those reached who did not know the show"
            + (
                f"; the excess is {exact(sums.lift)} times what would have come anyway."
                if sums.lift is not None
                else "."
            )
        )


def _linkability(sums: Calculation) -> str:
    if sums.linkability_se is not None:
        rests = f"± {exact(sums.linkability_se)} (standard error), measured: {sums.linkability_source}"
    else:
        rests = f"source: {sums.linkability_source}"
    k = ""
    if sums.k is not None and sums.k_triples is not None:
        k = (
            f" k = {exact(sums.k)}, from {count(sums.k_triples)} placebo triples: shows and episodes without "
            "any collaboration, measured alike."
        )
    return f"λ = {exact(sums.linkability)}, {rests}.{k}"


def _cohorts(of: Explanation, sums: Calculation) -> Iterator[Block]:
    if not of.strata:
        return
    yield (
        "Listeners are compared with listeners who downloaded as much in the 45 days before: of the show's "
        "genre, and of everything. r1 is how many of a hundred others took up the show in the same days, r0 in "
        "the weeks before the collaboration; expected = followed × r1 (steps 3 to 6)."
    )
    rows = [
        (
            one.genre_downloads,
            one.all_downloads,
            count(one.exposed),
            f"{one.followed:,.1f}",
            count(one.converts),
            _percent(one.pool_rate),
            _percent(one.history_rate),
            exact(one.expected),
        )
        for one in of.strata
    ]
    rows.append(
        (
            "sum",
            "",
            count(sum(one.exposed for one in of.strata)),
            f"{sum(one.followed for one in of.strata):,.1f}",
            count(sum(one.converts for one in of.strata)),
            "",
            "",
            exact(sums.base),
        )
    )
    columns = ("genre", "all", "exposed", "followed", "took up", "r1 %", "r0 %", "expected")
    yield Grid(columns, tuple(rows), texts=2)
    pools = [
        f"{name} {count(keys)} keys"
        for name, keys in (
            ("r1:", sums.pool_keys),
            ("r0:", of.placebo.history_keys if of.placebo else None),
        )
        if keys is not None
    ]
    followed = "followed counts a listener whose 30 days are not over in part"
    yield "; ".join([*pools, followed]) + "."


def _percent(rate: float | None) -> str:
    return "-" if rate is None else exact(rate * 100)


def _placebo(of: Explanation, one: Placebo) -> Iterator[Block]:
    if one.source == "none" or not one.episodes:
        yield (
            "There is no usable history of it, so θ = 1 is assumed: the partner's audience takes up the show as "
            "like listeners elsewhere do (step 6)."
        )
        return
    a, m = DEFAULTS.prior, one.episodes if DEFAULTS.prior_on is PriorOn.MEAN else 1
    yield (
        f"θ says how much more than like listeners the partner's audience takes up {of.collaboration.show} "
        f"anyway. In {count(one.episodes)} episodes before the collaboration {count(one.converts)} did where "
        f"{exact(one.expected)} were to be expected (at r0); a = {a:g} on both sides draws θ towards 1."
    )
    top, bottom = one.converts / m + a, one.expected / m + a
    yield Sums(
        (
            Sum("seen", f"{count(one.converts)} ÷ {m} + {a:g} = {exact(top)}", Step.HISTORY),
            Sum("expected", f"{exact(one.expected)} ÷ {m} + {a:g} = {exact(bottom)}", Step.HISTORY),
            Sum("θ", f"{exact(top)} ÷ {exact(bottom)} = {exact(one.theta)}", Step.HISTORY),
            *(
                [Sum("its standard error", exact(one.theta_se), Step.HISTORY)]
                if one.theta_se is not None
                else []
            ),
        )
    )


def _overlaps(of: Explanation) -> Iterator[Block]:
    if not of.siblings and not of.overlaps:
        return
    heard = (
        f" {share(of.overlap_share)} of the exposed heard another one, too."
        if of.overlap_share is not None
        else ""
    )
    others = "1 more was" if of.siblings == 1 else f"{count(of.siblings)} more were"
    yield (
        f"{others} heard within the same weeks.{heard} Each is given its part of the excess, in "
        "proportion to whom it could have brought and how well it does elsewhere (step 8)."
    )
    if of.overlaps:
        yield Grid(
            ("id", "with", "from", "could have brought"),
            tuple(
                (
                    str(one.collaboration_id),
                    one.partner,
                    day(one.starts_at) if one.starts_at else "-",
                    exact(one.converted_by_other),
                )
                for one in of.overlaps
            ),
            texts=3,
        )
        yield (
            "could have brought: exposed of this collaboration who heard the other one, each for the share of "
            "its effect that falls into their 30 days."
        )


def _flags(of: Explanation) -> Iterator[Block]:
    if of.flags:
        yield Items(tuple((flag.name, f"{_sentence(flag.meaning)} {flag.advice}") for flag in of.flags))
    if of.calculation is not None:
        yield (
            "Not measured: members of a household who heard of it from a listener, and listening without a "
            "download."
        )


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _cost(of: Explanation) -> Iterator[Block]:
    if of.cost is None:
        return
    cost, currency = of.cost, of.cost.currency
    whole = money(cost.cost, currency)
    number = of.forecast or of.estimate
    if cost.per_new_listener is None or number is None:
        yield f"It cost {whole}; without a number above 0 there is no cost per new listener."
        return
    which = "forecast of new listeners" if of.forecast else "new listeners"
    yield (
        f"It cost {whole} ÷ {exact(number.value)} {which} = {money(cost.per_new_listener, currency)} "
        f"per new listener ({COVERAGE} interval {_bounds(cost.low, cost.high, currency)})."
    )


def _bounds(low: float | None, high: float | None, currency: str) -> str:
    lowest = "-" if low is None else money(low, currency)
    if high is None:
        return f"from {lowest}, without an upper end: it may have brought nobody"
    return f"{lowest} to {money(high, currency)}"


def _retained(of: Explanation) -> Iterator[Block]:
    if of.calculation is None or not of.retained:
        return
    for one in of.retained:
        part = f" ({share(one.share)})" if one.share is not None else ""
        yield (
            f"Of the excess of {exact(of.calculation.excess)}, {exact(one.listeners)}{part} downloaded "
            f"{one.episodes} or more episodes of the show within 28 days."
        )


def _gross(of: Explanation) -> Iterator[Block]:
    if not of.gross:
        return
    yield (
        "What rules of credit say, as most vendors publish it. They count everybody who is new under an address "
        "and agent and had heard the episode before."
    )
    windows = sorted({one.window_days for one in of.gross})
    by = {(one.window_days, one.rule): one for one in of.gross}
    rows = []
    for window in windows:
        cells = [by.get((window, rule)) for rule in RULES]
        touches = next((one.touches for one in cells if one is not None and one.touches is not None), None)
        rows.append(
            (
                f"{window} d",
                *("-" if one is None else listeners(one.new_listeners) for one in cells),
                "-" if touches is None else count(touches),
            )
        )
    yield Grid(("within", *(rule.replace("_", " ") for rule in RULES), "exposed"), tuple(rows))
    yield from _why(of)


def _why(of: Explanation) -> Iterator[Block]:
    if (one := of.difference) is None:
        return
    x, organic = (of.calculation.converted, of.calculation.organic) if of.calculation else (0, 0.0)
    rows = [
        ("came because of it (the answer above)", exact(one.incremental)),
        ("would have come anyway (organic)", exact(one.organic)),
        *([("came because of other collaborations", exact(one.of_siblings))] if of.siblings else []),
        ("false new, and what else the rule sees otherwise", exact(one.rest)),
        ("gross: last touch, 30 d", exact(one.gross)),
    ]
    yield Grid(("the gross figure is the sum of", "listeners"), tuple(rows))
    if one.organic_share is not None:
        yield (
            f"Organic: of the {count(x)} exposed who took up the show {exact(organic)} "
            f"({share(one.organic_share)}) would have come without it; the rule credits them all the same."
        )
    if one.rest >= 0:
        yield (
            "False new: old listeners of the show whose address or app version changed count as new under "
            "such a rule. Here the key leaves versions out, and only those known for 28 days are asked."
        )
    else:
        yield (
            f"The rule sees {exact(-one.rest)} fewer: it misses those who heard the episode under one "
            "address or app version and took up the show under another, and those who already had another touch."
        )


def _foot(of: Explanation) -> Iterator[str]:
    as_of = f"as of {minute(of.as_of)}, " if of.as_of else ""
    model = f", model {of.model_version}" if of.model_version else ""
    yield f"Data {as_of}marts version {of.version} of {of.made_at}{model}."
    yield f"Steps are those of {DOCS}, which says what each does."
