"""What the published marts hold of collaborations: rows, as they are. Never a look into the warehouse."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb

from earshot.pipeline import reading
from earshot.published import Published
from orchestration.constants import QUIET_S, WHOLE_INTERVAL_S

Row = dict[str, Any]

WHOLE_BUILD = (  # when there is one
    f"every {WHOLE_INTERVAL_S // 60} minutes, or after {QUIET_S // 60} minutes without news; by hand the job "
    "`marts` in Dagster"
)

_LIFT = "fct_collaboration_lift"
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
_NEWER = {"fct_collaboration_lift": ("pool_rate", "history_rate", "has_look_back", "is_recorded_afterwards")}
_POOLED = (
    "show_id", "collaborations", "provisional", "insufficient", "new_listeners", "new_listeners_low",
    "new_listeners_high", "cost", "currency", "cost_per_new_listener", "gross_last_touch",
)  # fmt: skip
_POOLED_NEWER = ("is_insufficient", "at_most")
MARTS = {mart: [name.strip() for name in columns.split(",")] for mart, columns in _COLUMNS.items()}


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


def lifts(published: Published) -> list[Row]:
    """One row a collaboration, the newest first. Raises NoAttribution."""
    with reading(published.database) as con:
        _check(con, published, {_LIFT: MARTS[_LIFT]})
        return _rows(con, "fct_collaboration_lift", "true", {}, "starts_at desc, collaboration_id desc")


def rows_of(published: Published, collaboration_id: int) -> Rows | None:
    """All of one collaboration; None: the marts do not have it. Raises NoAttribution."""
    with reading(published.database) as con:
        _check(con, published, MARTS)

        def of(mart: str, order: str) -> list[Row]:
            return _rows(con, mart, "collaboration_id = $id", {"id": collaboration_id}, order)

        found = of("fct_collaboration_lift", "collaboration_id")
        if not found:
            return None
        return Rows(
            found[0],
            of("fct_collaboration_cohorts", "cohort, stratum"),
            of("fct_collaboration_overlaps", "other_starts_at, other_collaboration_id"),
            of("fct_attribution_gross", "window_days, rule"),
            _rows(
                con,
                "fct_collaboration_lift",
                "show_id = $show and collaboration_id <> $id",
                {"show": found[0]["show_id"], "id": collaboration_id},
                "starts_at, collaboration_id",
            ),
        )


def pooled(published: Published, mart: str, column: str) -> list[Row]:
    """The rows of a mart of collaborations together by show and `column`. Raises NoAttribution."""
    names = [*_POOLED, column]
    with reading(published.database) as con:
        _check(con, published, {mart: names})
        return _select(con, mart, names, _POOLED_NEWER, "true", {}, f"show_id, {column}")


def _rows(con: duckdb.DuckDBPyConnection, mart: str, where: str, parameters: Row, order: str) -> list[Row]:
    return _select(con, mart, MARTS[mart], _NEWER.get(mart, ()), where, parameters, order)


def _select(
    con: duckdb.DuckDBPyConnection,
    mart: str,
    columns: Sequence[str],
    newer: Sequence[str],
    where: str,
    parameters: Row,
    order: str,
) -> list[Row]:
    """newer: columns that are null where the mart does not have them."""
    there = _there(con)[mart]
    names = [*columns, *(name for name in newer if name in there)]
    found = con.execute(
        f"select {', '.join(names)} from {mart} where {where} order by {order}", parameters
    ).fetchall()
    return [dict.fromkeys(newer) | dict(zip(names, map(_known, row), strict=True)) for row in found]


def _known(value: Any) -> Any:
    """Not a number is no number: null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _there(con: duckdb.DuckDBPyConnection) -> dict[str, set[str]]:
    """mart → its columns."""
    there: dict[str, set[str]] = {}
    for mart, column in con.execute("select table_name, column_name from duckdb_columns()").fetchall():
        there.setdefault(mart, set()).add(column)
    return there


def _check(con: duckdb.DuckDBPyConnection, published: Published, marts: Mapping[str, Sequence[str]]) -> None:
    """marts: each with the columns that it must have. Raises NoAttribution."""
    there = _there(con)
    missing = [mart for mart in marts if mart not in there]
    if missing:
        raise NoAttribution(
            f"the marts (version {published.version} of {published.made_at}) have no {', '.join(missing)}: "
            "they were built by an older Earshot, or not yet whole. A whole build makes them "
            f"({WHOLE_BUILD})"
        )
    for mart, columns in marts.items():
        if lacking := [name for name in columns if name not in there[mart]]:
            raise NoAttribution(
                f"{mart} in version {published.version} of the marts has no {', '.join(lacking)}: it was "
                f"built by another version of Earshot. A whole build mends that ({WHOLE_BUILD})"
            )
