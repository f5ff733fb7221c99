"""What the published marts say of a collaboration, gathered; nothing is estimated here.

What is derived are the terms between the marts' figures (a product, a difference, a sum of the cohort table),
so that the page can be calculated again line by line.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from attribution.parameters import ASSUMED, DEFAULTS
from earshot.attribution.flags import flags_of
from earshot.attribution.headline import headline, verdict_of
from earshot.attribution.marts import WHOLE_BUILD, NoAttribution, Rows, lifts, rows_of
from earshot.attribution.model import (
    Calculation,
    Collaboration,
    Cost,
    Difference,
    Estimate,
    Explanation,
    Gross,
    Listed,
    Overlap,
    Placebo,
    Retained,
    State,
    Stratum,
    Verdict,
)
from earshot.published import Published, current
from ingest.settings import SettingError, Settings

Row = dict[str, Any]

STRATA = 9
GROSS_WINDOW_DAYS = 30  # of fct_collaboration_lift's gross figures
_SHOWN_IDS = 10


def explain(collaboration_id: int, settings: Settings) -> Explanation:
    """Everything the marts say of it. Raises NothingPublished, NoAttribution."""
    published = current(settings)
    rows = rows_of(published, collaboration_id)
    if rows is None:
        raise NoAttribution(_why_not_there(collaboration_id, published, settings))
    return _explanation(rows, published)


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


def _explanation(rows: Rows, published: Published) -> Explanation:
    lift = rows.lift
    collaboration = _collaboration(lift)
    found = _Numbers.of(lift)
    is_measured = found.state in (State.PROVISIONAL, State.FINAL)
    strata = _strata(rows.cohorts) if is_measured else ()
    calculation = _calculation(lift, strata, found.estimate) if is_measured else None
    told = found.state, found.verdict, found.estimate, found.forecast, lift["at_most"]
    return Explanation(
        collaboration=collaboration,
        state=found.state,
        verdict=found.verdict,
        headline=headline(collaboration, *told),
        as_of=lift["as_of"],
        version=published.version,
        made_at=published.made_at,
        model_version=None if lift["model_version"] is None else str(lift["model_version"]),
        estimate=found.estimate,
        forecast=found.forecast,
        at_most=lift["at_most"] if found.verdict is Verdict.INSUFFICIENT else None,
        calculation=calculation,
        strata=strata,
        placebo=_placebo(lift, rows.cohorts) if is_measured else None,
        siblings=lift["siblings"] or 0,
        overlap_share=lift["overlap_share"],
        overlaps=tuple(
            Overlap(
                row["other_collaboration_id"],
                row["other_partner_show_title"] or "the partner",
                row["other_starts_at"],
                row["converted_by_other"] or 0.0,
            )
            for row in rows.overlaps
        ),
        flags=flags_of(lift),
        cost=_cost(lift) if is_measured else None,
        retained=_retained(lift, calculation) if calculation else (),
        gross=tuple(Gross(**{name: row[name] for name in Gross.__annotations__}) for row in rows.gross),
        difference=_difference(lift, calculation),
    )


def _collaboration(lift: Row) -> Collaboration:
    return Collaboration(**{name: lift[name] for name in Collaboration.__annotations__})


def _strata(cohorts: Sequence[Row]) -> tuple[Stratum, ...]:
    """The cohort table, always of nine rows."""
    by = {(row["cohort"], row["stratum"]): row for row in cohorts}
    found = []
    for stratum in range(STRATA):
        exposed, pool, history = (
            by.get((cohort, stratum), {}) for cohort in ("exposed", "contemporaneous", "history")
        )
        named = exposed or pool or history
        if not named:
            continue
        followed, rate = exposed.get("followed") or 0.0, pool.get("rate")
        found.append(
            Stratum(
                named["genre_downloads"],
                named["all_downloads"],
                exposed.get("keys") or 0,
                followed,
                exposed.get("converts") or 0,
                rate,
                history.get("rate"),
                followed * (rate or 0.0),
            )
        )
    return tuple(found)


def _placebo(lift: Row, cohorts: Sequence[Row]) -> Placebo:
    history = {row["stratum"]: row["rate"] or 0.0 for row in cohorts if row["cohort"] == "history"}
    placebos = [row for row in cohorts if row["cohort"] == "placebo"]
    return Placebo(
        lift["theta"],
        lift["theta_se"],
        lift["theta_source"],
        lift["placebo_episodes"] or 0,
        sum(row["converts"] or 0 for row in placebos),
        sum((row["followed"] or 0.0) * history.get(row["stratum"], 0.0) for row in placebos),
        lift["history_keys"],
    )


def _calculation(lift: Row, strata: Sequence[Stratum], estimate: Estimate | None) -> Calculation:
    reach, exposed, q = lift["reach"] or 0, lift["exposed"] or 0, lift["known_share"] or 0.0
    converted, organic, link = lift["converted"] or 0, lift["organic"] or 0.0, lift["linkability"]
    not_known, excess = reach * (1 - q), converted - organic
    widening = DEFAULTS.assumed_widening if lift["linkability_source"] == ASSUMED else 1.0
    own = scaled = se = None
    if estimate is not None and exposed and not_known:
        scaled = estimate.value * link
        # No near sibling, nothing to share: the excess is its own.
        own = scaled * exposed / not_known if lift["siblings"] else excess
        se = (estimate.high - estimate.low) / 2 / (lift["k"] * widening)
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
        widening=widening,
        k_triples=lift["k_triples"],
        se=se,
        conversion_rate=None if estimate is None else lift["conversion_rate"],
        lift=None if estimate is None else lift["lift"],
        pool_keys=lift["pool_keys"],
    )


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
        organic_share=min(1.0, of.organic / of.converted) if of.converted else None,
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


def _why_not_there(collaboration_id: int, published: Published, settings: Settings) -> str:
    """Recorded after the marts were built, void, or never recorded."""
    from earshot.registry_at_hand import RegistryFailed, registry_at_hand
    from registry.collaborations import UnknownCollaboration, get
    from registry.tables import CollaborationState

    marts = f"the marts (version {published.version} of {published.made_at})"
    try:
        with registry_at_hand(settings, must_be=True) as engine:
            recorded = get(engine, collaboration_id)
    except (RegistryFailed, SettingError, UnknownCollaboration):  # all there is are the marts
        return f"{marts} have no collaboration {collaboration_id}{_those_there(published)}"
    if recorded.state is CollaborationState.VOID:
        return (
            f"collaboration {collaboration_id} was declared void: it never took place, so it brought nobody"
        )
    return (
        f"collaboration {collaboration_id} is recorded, but {marts} were built before they could know it. "
        f"It comes with the next whole build ({WHOLE_BUILD})"
    )


def _those_there(published: Published) -> str:
    ids = sorted(row["collaboration_id"] for row in lifts(published))
    if not ids:
        return ", nor any other: record them with `earshot collaboration add`"
    if len(ids) <= _SHOWN_IDS:
        return f"; there are {', '.join(map(str, ids))}"
    return f"; there are {len(ids):,}, from {ids[0]} to {ids[-1]}: `earshot attribution list`"
