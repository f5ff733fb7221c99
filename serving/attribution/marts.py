"""What the published marts hold of collaborations: rows, as they are. Never a look into the warehouse."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from serving.reports.asking import Asks

Row = dict[str, Any]

LIFT = "fct_collaboration_lift"
_COLUMNS = {
    "fct_collaboration_lift": """
        collaboration_id, tenant, show_id, show_title, partner_show_id, partner_show_title, episode_key,
        episode_id, episode_title, type, starts_at, exposure_ends_at, final_at, as_of, state, reach, exposed,
        known_share, converted, organic, new_listeners, new_listeners_low, new_listeners_high, forecast,
        forecast_low, forecast_high, is_insufficient, at_most, conversion_rate, lift, retained_2, retained_4,
        cost, currency, cost_per_new_listener, cost_per_new_listener_low, cost_per_new_listener_high, theta,
        theta_se, theta_source, placebo_episodes, pool_keys, history_keys, linkability, linkability_se,
        linkability_source, k, k_triples, is_calibrated, has_pre_trend, has_concurrent_spike, siblings,
        overlap_share, gross_last_touch, gross_first_touch, gross_linear, gross_time_decay, model_version,
        genre, placebo_converts, placebo_expected, rate, se, widening, is_split,
        holdout_keys, holdout_converted, holdout_new_listeners, holdout_low, holdout_high
    """,
    "fct_collaboration_cohorts": """
        collaboration_id, cohort, stratum, genre_downloads, all_downloads, keys, followed, converts
    """,
    "fct_collaboration_overlaps": """
        collaboration_id, other_collaboration_id, common_keys, converted_by_other, other_partner_show_title,
        other_starts_at
    """,
    "fct_attribution_gross": "collaboration_id, rule, window_days, new_listeners, touches",
}
# Of newer marts; null in those that do not have them yet.
NEWER = {
    LIFT: ("pool_rate", "history_rate", "has_look_back", "is_recorded_afterwards"),
    **dict.fromkeys(
        ("fct_partner_lift", "fct_show_lift_by_type", "fct_show_lift_monthly"), ("is_insufficient", "at_most")
    ),
}
POOLED = (
    "show_id", "collaborations", "provisional", "insufficient", "new_listeners", "new_listeners_low",
    "new_listeners_high", "cost", "currency", "cost_per_new_listener", "gross_last_touch",
)  # fmt: skip
MARTS = {mart: [name.strip() for name in columns.split(",")] for mart, columns in _COLUMNS.items()}
_NOTHING: Collection[str] = frozenset()


class NoAttribution(RuntimeError):
    """The published marts cannot tell what a collaboration brought; the message says what to do."""


@dataclass(frozen=True)
class Rows:
    """All rows of one collaboration."""

    lift: Row
    cohorts: list[Row]  # by stratum
    overlaps: list[Row]
    gross: list[Row]
    of_show: list[Row] = field(default_factory=list)  # of the lift: the other collaborations of show A


def lifts(
    asks: Asks, where: str = "true", params: Row | None = None, lacking: Collection[str] = _NOTHING
) -> list[Row]:
    """One row a collaboration, the newest first. lacking: which of NEWER these marts do not have."""
    return _rows(asks, LIFT, where, params or {}, "starts_at desc, collaboration_id desc", lacking)


def rows_of(asks: Asks, collaboration_id: int, lacking: Collection[str] = _NOTHING) -> Rows | None:
    """All of one collaboration; None: the marts do not have it."""

    def of(mart: str, order: str) -> list[Row]:
        return _rows(asks, mart, "collaboration_id = $id", {"id": collaboration_id}, order, lacking)

    found = of(LIFT, "collaboration_id")
    if not found:
        return None
    return Rows(
        found[0],
        of("fct_collaboration_cohorts", "cohort, stratum"),
        of("fct_collaboration_overlaps", "other_starts_at, other_collaboration_id"),
        of("fct_attribution_gross", "window_days, rule"),
        _rows(
            asks,
            LIFT,
            "show_id = $show and collaboration_id <> $id",
            {"show": found[0]["show_id"], "id": collaboration_id},
            "starts_at, collaboration_id",
            lacking,
        ),
    )


def pooled(
    asks: Asks,
    mart: str,
    column: str,
    where: str = "true",
    params: Row | None = None,
    lacking: Collection[str] = _NOTHING,
) -> list[Row]:
    """The rows of a mart of collaborations together by show and `column`."""
    return _select(asks, mart, [*POOLED, column], where, params or {}, f"show_id, {column}", lacking)


def _rows(asks: Asks, mart: str, where: str, params: Row, order: str, lacking: Collection[str]) -> list[Row]:
    return _select(asks, mart, MARTS[mart], where, params, order, lacking)


def _select(
    asks: Asks,
    mart: str,
    columns: Sequence[str],
    where: str,
    params: Row,
    order: str,
    lacking: Collection[str],
) -> list[Row]:
    newer = [f"null as {name}" if name in lacking else name for name in NEWER.get(mart, ())]
    sql = f"select {', '.join((*columns, *newer))} from {mart} where {where} order by {order}"
    return [{name: _known(value) for name, value in row.items()} for row in asks.rows(sql, params)]


def _known(value: Any) -> Any:
    """Not a number is no number: null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
