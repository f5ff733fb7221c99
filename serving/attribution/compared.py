"""Who was compared with whom, and what their audience did before: the cohort table and θ."""

from __future__ import annotations

from collections.abc import Iterator

from attribution.parameters import DEFAULTS
from registry.collaboration_days import HISTORY_DAYS
from serving.attribution.blocks import Block, Grid, Sum, Sums
from serving.attribution.counts import NO_HISTORY_SOURCE
from serving.attribution.model import Explanation
from serving.attribution.numbers import count, exact
from serving.attribution.steps import Step
from serving.attribution.terms import Calculation, Placebo


def cohorts(of: Explanation, sums: Calculation) -> Iterator[Block]:
    """The cohort table, one row a stratum."""
    if not of.strata:
        return
    genre = f"the show's genre ({of.genre})" if of.genre else "its genre (which is not known)"
    yield (
        f"Listeners are compared with others who downloaded as much in the 45 days before, of {genre} "
        f"and of everything (step {Step.COHORT}). r1: of a hundred others, who took up the show in the "
        f"same days (step {Step.POOL}); r0: in the days of its earlier episodes (step {Step.HISTORY}). "
        "Expected is followed × r1; followed counts a listener whose 30 days are not over in part. Both "
        f"rates are smoothed: {DEFAULTS.pool_prior:g} keys at the mean rate are added to each row, so that a "
        "thin one does not decide."
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
            f"{_why_none(of, one)} So θ = 1 is assumed: the partner's audience takes up the show as like "
            f"listeners elsewhere do (step {Step.HISTORY})."
        )
        return
    a = DEFAULTS.prior
    yield (
        f"θ says how much more than like listeners the partner's audience takes up {of.collaboration.show} "
        f"anyway. Of those who heard one of {count(one.episodes)} episodes before the collaboration "
        f"{count(one.converts)} did; by the rates of others in the days of each, {exact(one.expected)} were "
        f"to be expected. a = {a:g} on both sides draws θ towards 1."
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


def _why_none(of: Explanation, one: Placebo) -> str:
    if one.needs_logs_from is None:
        return f"{of.collaboration.partner} aired no episode in the weeks before that could tell."
    has_r0 = any(row.history_rate is not None for row in of.strata)
    used = " r0 above is of the days that there are, and is not used." if has_r0 else ""
    return (
        f"θ needs logs from {one.needs_logs_from} on, {HISTORY_DAYS} days before the first of these "
        f"collaborations; they begin later.{used}"
    )
