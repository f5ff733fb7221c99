"""How the number comes about, line by line: who calculates again from the page comes to the headline."""

from __future__ import annotations

from collections.abc import Iterator

from serving.attribution.blocks import Block, Sum, Sums
from serving.attribution.flags import NOT_CALIBRATED
from serving.attribution.headline import COVERAGE, ids
from serving.attribution.model import Explanation, Verdict
from serving.attribution.numbers import count, exact, percent
from serving.attribution.steps import Step
from serving.attribution.terms import Calculation, Estimate, Variance


def calculation(of: Explanation, sums: Calculation) -> Iterator[Block]:
    """From the listeners reached to the interval."""
    lines = [*_excess(sums)]
    if of.estimate is not None and sums.own is not None:
        lines += [*_scaled(of, sums, of.estimate), *_together(of, of.estimate)]
        lines += [*_error(sums, of.shown or of.estimate), *_forecast(of)]
    yield Sums(tuple(lines))
    if sums.variance is not None:
        yield _parts(sums.variance)
    if of.verdict is Verdict.INSUFFICIENT and of.at_most is not None:
        yield f"Of so few no number is made; the upper bound is the most they allow (step {Step.FLAGS})."
    if sums.conversion_rate is not None and of.shown is not None and of.estimate is not None:
        share = of.shown.value / of.estimate.value if of.estimate.value else 1.0
        yield (
            f"Conversion rate: {percent(sums.conversion_rate * share)} of those reached and new to the show "
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


def _together(of: Explanation, estimate: Estimate) -> Iterator[Sum]:
    """Of one recorded twice: the parts of the other records."""
    if of.together is not None:
        whole = of.together.estimate.value
        yield Sum(
            f"and the equal part of {ids(of.together.others)}",
            f"{exact(estimate.value)} + {exact(whole - estimate.value)} = {exact(whole)}",
            Step.OVERLAP,
        )


def _error(sums: Calculation, shown: Estimate) -> Iterator[Sum]:
    if sums.k is None or sums.se is None:
        return
    half = (shown.high - shown.low) / 2
    wider = f" × {sums.widening:g}" if sums.widening != 1 else ""
    error = exact(half / (sums.k * sums.widening)) if sums.k else exact(sums.se)
    if sums.variance is not None:
        named = dict(_named(sums.variance))
        square = sums.variance.total
        parts = " + ".join(map(exact, named.values())).replace("+ −", "− ")
        yield Sum(f"se², of {', '.join(named)}", f"{parts} = {exact(square)}", Step.INTERVAL)
        error = f"√{exact(square)}"
    yield Sum(
        "k × standard error (se)" + (", wider for λ" if wider else ""),
        f"{exact(sums.k)} × {error}{wider} = {exact(half)}",
        Step.INTERVAL,
    )
    yield Sum(
        f"{COVERAGE} interval",
        f"{exact(shown.value)} ± {exact(half)} = {exact(shown.low)} to {exact(shown.high)}",
        Step.INTERVAL,
    )


def _named(of: Variance) -> Iterator[tuple[str, float]]:
    yield from (("x", of.chance), ("θ", of.theta), ("r1", of.pool))
    if of.siblings:
        yield "siblings", of.siblings
    if of.linkability:
        yield "λ", of.linkability


def _parts(of: Variance) -> str:
    parts = [
        "x: chance decides which of those who came are among the exposed",
        "θ and r1: they rest on few who took up the show",
    ]
    if of.siblings:
        parts.append("siblings: what is taken off for them is uncertain, too")
    if of.linkability:
        parts.append("λ: so is it")
    return f"Parts of the error, in new listeners squared. {'; '.join(parts)} (step {Step.INTERVAL})."


def _forecast(of: Explanation) -> Iterator[Sum]:
    shown, forecast = of.shown, of.shown_forecast
    if shown is not None and forecast is not None and forecast.value and shown.value:
        come = exact(shown.value / forecast.value)
        yield Sum(
            "÷ share come by now: forecast",
            f"{exact(shown.value)} ÷ {come} = {exact(forecast.value)}",
            Step.SCALE,
        )


def _linkability(sums: Calculation) -> str:
    if sums.linkability_se is None:
        return f"λ = {exact(sums.linkability)}: it is not known here, so it is assumed (step {Step.SCALE})."
    error = f" ± {exact(sums.linkability_se)} (standard error)"
    return f"λ = {exact(sums.linkability)}{error}; its source: {sums.linkability_source} (step {Step.SCALE})."
