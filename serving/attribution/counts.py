"""How the number comes about: the terms between the marts' figures, so that one can calculate again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np

from attribution.measured import STRATA, Cohort, Counts
from attribution.organic import rates_of
from attribution.parameters import DEFAULTS
from registry.collaboration_days import HISTORY_DAYS
from serving.attribution.terms import Calculation, Estimate, Overlap, Placebo, Stratum, Variance

Row = dict[str, Any]

NO_HISTORY_SOURCE = "none"  # of theta_source
_SAME_ERROR = 0.01  # of se²: where its parts say something else, the marts are another version's


def strata_of(cohorts: Sequence[Row]) -> tuple[Stratum, ...]:
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


def placebo_of(lift: Row, siblings: Sequence[Row]) -> Placebo:
    """θ and what it rests on. siblings: other collaborations of the show near it."""
    needs = None
    if lift["theta_source"] == NO_HISTORY_SOURCE:
        first = min(row["starts_at"] for row in (lift, *siblings))
        needs = (first - timedelta(days=HISTORY_DAYS)).date()
    return Placebo(
        lift["theta"],
        lift["theta_se"],
        lift["theta_source"],
        lift["placebo_episodes"] or 0,
        lift["placebo_converts"] or 0,
        lift["placebo_expected"] or 0.0,
        lift["history_keys"],
        needs,
    )


def overlap_of(row: Row, others: dict[int, Row]) -> Overlap:
    """A row of fct_collaboration_overlaps. others: their rows of fct_collaboration_lift, by id."""
    other = others.get(row["other_collaboration_id"], {})
    weight, rate = row["converted_by_other"] or 0.0, other.get("rate")
    return Overlap(
        row["other_collaboration_id"],
        row["other_partner_show_title"] or "the partner",
        row["other_starts_at"],
        row["common_keys"] or 0,
        weight,
        rate,
        None if rate is None else weight * rate,
        other.get("gross_last_touch"),
    )


def calculation_of(
    lift: Row, cohorts: Sequence[Row], strata: Sequence[Stratum], estimate: Estimate | None
) -> Calculation:
    """From what was seen to the number; to where it ends where there is none."""
    reach, exposed, q = lift["reach"] or 0, lift["exposed"] or 0, lift["known_share"] or 0.0
    converted, organic, link = lift["converted"] or 0, lift["organic"] or 0.0, lift["linkability"]
    not_known, excess = reach * (1 - q), converted - organic
    own = scaled = None
    if estimate is not None and exposed and not_known:
        scaled = estimate.value * link
        # No near sibling, nothing to share: the excess is its own.
        own = scaled * exposed / not_known if lift["siblings"] else excess
    has_number = estimate is not None
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
        se=lift["se"] if has_number else None,
        variance=_variance(lift, cohorts) if has_number and exposed and not_known else None,
        conversion_rate=lift["conversion_rate"] if has_number else None,
        lift=lift["lift"] if has_number else None,
        pool_keys=lift["pool_keys"],
    )


def _variance(lift: Row, cohorts: Sequence[Row]) -> Variance | None:
    """se² in its parts, as attribution.organic and .figures make it; what is left is the siblings'."""
    if lift["se"] is None or lift["is_split"]:  # of one recorded twice it is a part of a joint one
        return None
    x, organic, theta, link = lift["converted"], lift["organic"], lift["theta"], lift["linkability"]
    people = lift["reach"] * (1 - (lift["known_share"] or 0.0)) / link
    seen = min(lift["exposed"] / people, 1.0)
    square = (people / lift["exposed"]) ** 2
    of_theta = 1 / DEFAULTS.prior if lift["theta_se"] is None else (lift["theta_se"] / theta) ** 2
    pool = float(_counts(cohorts, Cohort.CONTEMPORANEOUS).converts.sum())
    parts = [
        (max(x, 1) - seen * max(x - organic, 0)) * square,
        organic**2 * of_theta * square,
        organic**2 / max(pool, 1) * square,
    ]
    of_link = (lift["new_listeners"] * (lift["linkability_se"] or 0.0) / link) ** 2
    rest = lift["se"] ** 2 - sum(parts) - of_link
    if not lift["siblings"]:
        if abs(rest) > _SAME_ERROR * lift["se"] ** 2:
            return None
        rest = 0.0
    return Variance(parts[0], parts[1], parts[2], rest, of_link)
