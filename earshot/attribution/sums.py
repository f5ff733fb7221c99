"""How the number comes about, line by line: who calculates again from the page comes to the headline."""

from __future__ import annotations

from collections.abc import Iterator

from attribution.parameters import DEFAULTS
from earshot.attribution.blocks import Block, Grid, Sum, Sums
from earshot.attribution.flags import NO_HISTORY_SOURCE, NOT_CALIBRATED
from earshot.attribution.headline import COVERAGE
from earshot.attribution.model import Calculation, Estimate, Explanation, Placebo, Verdict
from earshot.attribution.numbers import count, exact, percent
from earshot.attribution.steps import Step


def calculation(of: Explanation, sums: Calculation) -> Iterator[Block]:
    """From the listeners reached to the interval."""
    lines = [*_excess(sums)]
    if of.estimate is not None and sums.own is not None:
        lines += [*_scaled(of, sums, of.estimate), *_error(sums, of.estimate)]
        lines += _forecast(of.estimate, of.forecast)
    yield Sums(tuple(lines))
    if of.verdict is Verdict.INSUFFICIENT:
        yield f"Of so few no number is made; the upper bound is the most they allow (step {Step.FLAGS})."
    if sums.conversion_rate is not None:
        yield (
            f"Conversion rate: {percent(sums.conversion_rate)} of those reached and new to the show "
            f"(step {Step.SCALE})."
        )
    if sums.lift is not None:
        yield f"Lift, E ÷ O: {exact(sums.lift)} (step {Step.ORGANIC})."
    yield _linkability(sums)
    if sums.k is not None and sums.k_triples is not None:
        triples = f"{count(sums.k_triples)} placebo triples (show and episode, without a collaboration)"
        if NOT_CALIBRATED in of.flags:
            rests = f"that of a normal distribution; {triples} are too few to calibrate it"
        else:
            rests = f"at least so many standard errors hold {COVERAGE} of {triples}"
        yield f"k = {exact(sums.k)}: {rests} (step {Step.INTERVAL})."


def _excess(sums: Calculation) -> Iterator[Sum]:
    yield Sum("reached, N", count(sums.reach), Step.EXPOSED)
    yield Sum("share that knew the show, q", exact(sums.known_share), Step.COHORT)
    yield Sum("exposed and new to the show, n", count(sums.exposed), Step.EXPOSED)
    yield Sum("of them took up the show, x", count(sums.converted), Step.EXPOSED)
    yield Sum("expected (table below)", exact(sums.base), Step.POOL)
    organic = f"{exact(sums.theta)} × {exact(sums.base)} = {exact(sums.organic)}"
    yield Sum("came anyway, O = θ × expected", organic, Step.ORGANIC)
    excess = f"{count(sums.converted)} − {exact(sums.organic)} = {exact(sums.excess)}"
    yield Sum("excess, E = x − O", excess, Step.ORGANIC)


def _scaled(of: Explanation, sums: Calculation, estimate: Estimate) -> Iterator[Sum]:
    assert sums.own is not None and sums.of_siblings is not None and sums.scaled is not None
    if of.siblings:
        less, sign = sums.of_siblings, "−" if sums.of_siblings >= 0 else "+"
        own = f"{exact(sums.excess)} {sign} {exact(abs(less))} = {exact(sums.own)}"
        yield Sum("less what siblings brought", own, Step.OVERLAP)
    not_known = f"{count(sums.reach)} × (1 − {exact(sums.known_share)}) = {exact(sums.not_known)}"
    yield Sum("reached and new to the show", not_known, Step.SCALE)
    scaled = f"{exact(sums.own)} × {exact(sums.not_known)} ÷ {count(sums.exposed)} = {exact(sums.scaled)}"
    yield Sum("from the exposed to them", scaled, Step.SCALE)
    linked = f"{exact(sums.scaled)} ÷ {exact(sums.linkability)} = {exact(estimate.value)}"
    yield Sum("÷ λ, for other keys of theirs", linked, Step.SCALE)


def _error(sums: Calculation, estimate: Estimate) -> Iterator[Sum]:
    if sums.k is None or sums.se is None:
        return
    half = (estimate.high - estimate.low) / 2
    wider = f" × {sums.widening:g}" if sums.widening != 1 else ""
    yield Sum(
        "k × standard error" + (", wider for λ" if wider else ""),
        f"{exact(sums.k)} × {exact(sums.se)}{wider} = {exact(half)}",
        Step.INTERVAL,
    )
    yield Sum(
        f"{COVERAGE} interval",
        f"{exact(estimate.value)} ± {exact(half)} = {exact(estimate.low)} to {exact(estimate.high)}",
        Step.INTERVAL,
    )


def _forecast(estimate: Estimate, forecast: Estimate | None) -> Iterator[Sum]:
    if forecast is not None and forecast.value and estimate.value:
        come = exact(estimate.value / forecast.value)
        yield Sum(
            "÷ share come by now: forecast",
            f"{exact(estimate.value)} ÷ {come} = {exact(forecast.value)}",
            Step.SCALE,
        )


def _linkability(sums: Calculation) -> str:
    error = f" ± {exact(sums.linkability_se)} (standard error)" if sums.linkability_se is not None else ""
    return f"λ = {exact(sums.linkability)}{error}; its source: {sums.linkability_source} (step {Step.SCALE})."


def cohorts(of: Explanation, sums: Calculation) -> Iterator[Block]:
    """The cohort table, one row a stratum."""
    if not of.strata:
        return
    genre = f"the show's genre ({of.genre})" if of.genre else "its genre (which is not known)"
    yield (
        f"Listeners are compared with others who downloaded as much in the 45 days before, of {genre} "
        f"and of everything (step {Step.COHORT}). r1: of a hundred others, who took up the show in the "
        f"same days (step {Step.POOL}); r0: in the days of its earlier episodes (step {Step.HISTORY}). "
        "Expected is followed × r1; followed counts a listener whose 30 days are not over in part."
    )
    rows = [
        (
            one.genre_downloads,
            one.all_downloads,
            count(one.exposed),
            exact(one.followed),
            count(one.converts),
            _per_hundred(one.pool_rate),
            _per_hundred(one.history_rate),
            exact(one.expected),
        )
        for one in of.strata
    ]
    exposed, converts = sum(one.exposed for one in of.strata), sum(one.converts for one in of.strata)
    followed = exact(sum(one.followed for one in of.strata))
    rows.append(("sum", "", count(exposed), followed, count(converts), "", "", exact(sums.base)))
    columns = ("genre", "all", "exposed", "followed", "took up", "r1 %", "r0 %", "expected")
    yield Grid(columns, tuple(rows), texts=2)
    pools = {"r1": sums.pool_keys, "r0": of.placebo.history_keys if of.placebo else None}
    known = [f"{name} is of {count(keys)} listeners" for name, keys in pools.items() if keys is not None]
    if known:
        yield f"{', '.join(known)}."


def _per_hundred(rate: float | None) -> str:
    return "-" if rate is None else exact(rate * 100)


def placebo(of: Explanation, one: Placebo) -> Iterator[Block]:
    """θ, and what it rests on."""
    if one.source == NO_HISTORY_SOURCE or not one.episodes:
        yield (
            "There is no usable history of it, so θ = 1 is assumed: the partner's audience takes up the show "
            f"as like listeners elsewhere do (step {Step.HISTORY})."
        )
        return
    a = DEFAULTS.prior
    yield (
        f"θ says how much more than like listeners the partner's audience takes up {of.collaboration.show} "
        f"anyway. Of those who heard one of {count(one.episodes)} episodes before the collaboration "
        f"{count(one.converts)} did; at r0 {exact(one.expected)} were to be expected. "
        f"a = {a:g} on both sides draws θ towards 1."
    )
    top, bottom = one.converts + a, one.expected + a
    lines = [
        Sum("seen, + a", f"{count(one.converts)} + {a:g} = {exact(top)}", Step.HISTORY),
        Sum("expected, + a", f"{exact(one.expected)} + {a:g} = {exact(bottom)}", Step.HISTORY),
        Sum("θ", f"{exact(top)} ÷ {exact(bottom)} = {exact(one.theta)}", Step.HISTORY),
    ]
    if one.theta_se is not None:
        lines.append(Sum("its standard error", exact(one.theta_se), Step.HISTORY))
    yield Sums(tuple(lines))
