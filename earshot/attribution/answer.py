"""What the published marts say of a collaboration, gathered; nothing is estimated here.

What is derived are the terms between the marts' figures (a product, a difference, a sum of the cohort table),
so that the page can be calculated again line by line.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attribution.measured import STRATA, Cohort, Counts
from attribution.organic import rates_of
from attribution.parameters import DEFAULTS
from earshot.attribution.flags import flags_of
from earshot.attribution.headline import headline, verdict_of
from earshot.attribution.marts import NoAttribution, Rows, lifts, rows_of
from earshot.attribution.missing import why_not_there
from earshot.attribution.model import (
    GROSS_WINDOW_DAYS,
    Calculation,
    Collaboration,
    Cost,
    Difference,
    Estimate,
    Explanation,
    Gross,
    GrossRule,
    Holdout,
    Listed,
    Overlap,
    Placebo,
    Retained,
    State,
    Stratum,
    Verdict,
)
from earshot.published import Published, current
from ingest.settings import Settings

Row = dict[str, Any]


def explain(collaboration_id: int, settings: Settings) -> Explanation:
    """Everything the marts say of it. Raises NothingPublished, NoAttribution."""
    published = current(settings)
    rows = rows_of(published, collaboration_id)
    if rows is None:
        raise NoAttribution(why_not_there(collaboration_id, published, settings))
    return explanation_of(rows, published)


def listing(settings: Settings, show: str | None = None) -> list[Listed]:
    """All of them, the newest first; of show A only, by id or title. Raises as explain does."""
    found = lifts(current(settings))
    if show is not None:
        of_show = [row for row in found if show in (row["show_id"], row["show_title"])]
        if found and not of_show:
            names = sorted(
                {str(row[name]) for row in found for name in ("show_id", "show_title") if row[name]}
            )
            alike = difflib.get_close_matches(show, names, 3)
            hint = f"; alike are {', '.join(alike)}" if alike else ""
            raise NoAttribution(f"no collaboration of a show {show!r} is in the marts{hint}")
        found = of_show
    return [_listed(row) for row in found]


@dataclass(frozen=True)
class _Numbers:
    """What is published of the effect."""

    state: State
    verdict: Verdict
    estimate: Estimate | None
    forecast: Estimate | None

    @classmethod
    def of(cls, lift: Row) -> _Numbers:
        state = State(lift["state"])
        is_measured = state in (State.PROVISIONAL, State.FINAL)
        estimate = _estimate(lift, "new_listeners", "new_listeners_low", "new_listeners_high")
        forecast = _estimate(lift, "forecast", "forecast_low", "forecast_high")
        verdict = verdict_of(state, bool(lift["is_insufficient"]), estimate if is_measured else None)
        if not is_measured or verdict is Verdict.INSUFFICIENT:
            return cls(state, verdict, None, None)
        return cls(state, verdict, estimate, forecast if state is State.PROVISIONAL else None)


def _estimate(lift: Row, value: str, low: str, high: str) -> Estimate | None:
    numbers = [lift[name] for name in (value, low, high)]
    return None if None in numbers else Estimate(*map(float, numbers))


def explanation_of(rows: Rows, published: Published) -> Explanation:
    """The rows of one collaboration, as an answer."""
    lift = rows.lift
    collaboration = _collaboration(lift)
    found = _Numbers.of(lift)
    is_measured = found.state in (State.PROVISIONAL, State.FINAL)
    strata = _strata(rows.cohorts) if is_measured else ()
    has_counts = is_measured and lift["theta"] is not None and lift["linkability"] is not None
    calculation = _calculation(lift, strata, found.estimate) if has_counts else None
    told = found.state, found.verdict, found.estimate, found.forecast, lift["at_most"]
    return Explanation(
        collaboration=collaboration,
        state=found.state,
        verdict=found.verdict,
        headline=headline(collaboration, *told, has_downloads=lift["as_of"] is not None),
        as_of=lift["as_of"],
        version=published.version,
        made_at=published.made_at,
        genre=lift["genre"],
        model_version=None if lift["model_version"] is None else str(lift["model_version"]),
        estimate=found.estimate,
        forecast=found.forecast,
        at_most=lift["at_most"] if found.verdict is Verdict.INSUFFICIENT else None,
        calculation=calculation,
        strata=strata,
        placebo=_placebo(lift) if has_counts else None,
        siblings=lift["siblings"] or 0,
        overlap_share=lift["overlap_share"],
        overlaps=tuple(_overlap(row) for row in rows.overlaps),
        holdout=_holdout(lift),
        flags=flags_of(lift),
        cost=_cost(lift) if is_measured else None,
        retained=_retained(lift, calculation) if calculation else (),
        gross=_gross(rows) if is_measured else (),
        difference=_difference(lift, calculation),
    )


def _collaboration(lift: Row) -> Collaboration:
    return Collaboration(**{name: lift[name] for name in Collaboration.__annotations__})


def _overlap(row: Row) -> Overlap:
    weight, rate = row["converted_by_other"] or 0.0, row["other_rate"]
    return Overlap(
        row["other_collaboration_id"],
        row["other_partner_show_title"] or "the partner",
        row["other_starts_at"],
        row["common_keys"] or 0,
        weight,
        rate,
        None if rate is None else weight * rate,
    )


def _strata(cohorts: Sequence[Row]) -> tuple[Stratum, ...]:
    """The cohort table: a row for each stratum that anyone is in. Rates are those of the solve."""
    by = {(row["cohort"], row["stratum"]): row for row in cohorts}
    pool, history = _counts(cohorts, Cohort.CONTEMPORANEOUS), _counts(cohorts, Cohort.HISTORY)
    now, then = (rates_of(one, DEFAULTS.pool_prior)[0] for one in (pool, history))
    found = []
    for stratum in range(STRATA):
        named = next((by[cohort, stratum] for cohort in Cohort if (cohort, stratum) in by), None)
        if named is None:
            continue
        exposed = by.get((Cohort.EXPOSED, stratum), {})
        followed, rate = exposed.get("followed") or 0.0, float(now[stratum])
        found.append(
            Stratum(
                named["genre_downloads"],
                named["all_downloads"],
                exposed.get("keys") or 0,
                followed,
                exposed.get("converts") or 0,
                rate,
                float(then[stratum]) if history.followed.any() else None,
                followed * rate,
            )
        )
    return tuple(found)


def _counts(cohorts: Sequence[Row], cohort: Cohort) -> Counts:
    """One cohort as the solve has it: one target × strata."""
    counts = {name: np.zeros((1, STRATA)) for name in ("keys", "followed", "converts")}
    for row in cohorts:
        if row["cohort"] == cohort:
            for name, of in counts.items():
                of[0, row["stratum"]] = row[name] or 0
    return Counts(**counts, converting_keys=counts["converts"])


def _placebo(lift: Row) -> Placebo:
    return Placebo(
        lift["theta"],
        lift["theta_se"],
        lift["theta_source"],
        lift["placebo_episodes"] or 0,
        lift["placebo_converts"] or 0,
        lift["placebo_expected"] or 0.0,
        lift["history_keys"],
    )


def _calculation(lift: Row, strata: Sequence[Stratum], estimate: Estimate | None) -> Calculation:
    reach, exposed, q = lift["reach"] or 0, lift["exposed"] or 0, lift["known_share"] or 0.0
    converted, organic, link = lift["converted"] or 0, lift["organic"] or 0.0, lift["linkability"]
    not_known, excess = reach * (1 - q), converted - organic
    own = scaled = None
    if estimate is not None and exposed and not_known:
        scaled = estimate.value * link
        # No near sibling, nothing to share: the excess is its own.
        own = scaled * exposed / not_known if lift["siblings"] else excess
    return Calculation(
        reach=reach,
        exposed=exposed,
        known_share=q,
        converted=converted,
        base=sum(one.expected for one in strata),
        theta=lift["theta"],
        organic=organic,
        excess=excess,
        of_siblings=None if own is None else excess - own,
        own=own,
        not_known=not_known,
        scaled=scaled,
        linkability=link,
        linkability_se=lift["linkability_se"],
        linkability_source=lift["linkability_source"],
        new_listeners=None if estimate is None else estimate.value,
        k=lift["k"],
        widening=lift["widening"] or 1.0,
        k_triples=lift["k_triples"],
        se=None if estimate is None else lift["se"],
        conversion_rate=None if estimate is None else lift["conversion_rate"],
        lift=None if estimate is None else lift["lift"],
        pool_keys=lift["pool_keys"],
    )


def _holdout(lift: Row) -> Holdout | None:
    estimate = _estimate(lift, "holdout_new_listeners", "holdout_low", "holdout_high")
    if estimate is None:
        return None
    return Holdout(lift["holdout_keys"] or 0, lift["holdout_converted"] or 0, estimate)


def _cost(lift: Row) -> Cost | None:
    if lift["cost"] is None:
        return None
    is_told = not lift["is_insufficient"]
    per, low, high = (
        lift[f"cost_per_new_listener{which}"] if is_told else None for which in ("", "_low", "_high")
    )
    return Cost(lift["cost"], lift["currency"] or "", per, low, high)


def _retained(lift: Row, calculation: Calculation) -> tuple[Retained, ...]:
    excess = calculation.excess
    if calculation.new_listeners is None or excess <= 0:
        return ()
    return tuple(
        Retained(episodes, float(lift[column]), float(lift[column]) / excess)
        for episodes, column in ((2, "retained_2"), (4, "retained_4"))
        if lift[column] is not None
    )


def _gross(rows: Rows) -> tuple[Gross, ...]:
    """By window and rule; where fct_attribution_gross has none, those beside the lift."""
    if rows.gross:
        names = ("rule", "window_days", "new_listeners", "touches")
        return tuple(Gross(*(row[name] for name in names)) for row in rows.gross)
    beside = {rule: rows.lift[f"gross_{rule}"] for rule in GrossRule}
    return tuple(Gross(rule, GROSS_WINDOW_DAYS, of, None) for rule, of in beside.items() if of is not None)


def _difference(lift: Row, calculation: Calculation | None) -> Difference | None:
    """The gross figure as a sum. None: there is none, or no number to set it against."""
    gross = lift["gross_last_touch"]
    if gross is None or calculation is None or calculation.new_listeners is None:
        return None
    of = calculation
    incremental = calculation.new_listeners
    scale = of.not_known / of.exposed / of.linkability if of.exposed else 0.0
    organic, siblings = of.organic * scale, (of.of_siblings or 0.0) * scale
    return Difference(
        gross=float(gross),
        incremental=incremental,
        organic=organic,
        of_siblings=siblings,
        rest=gross - incremental - organic - siblings,
        organic_share=of.organic / of.converted if of.converted else None,
    )


def _listed(lift: Row) -> Listed:
    of, found = _collaboration(lift), _Numbers.of(lift)
    return Listed(
        of.collaboration_id,
        of.show,
        of.partner,
        of.type,
        of.starts_at,
        found.state,
        found.verdict,
        found.estimate,
        found.forecast,
        lift["at_most"] if found.verdict is Verdict.INSUFFICIENT else None,
        tuple(flag.name for flag in flags_of(lift)),
    )
