"""The macro behind the sums of collaborations, on a few rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import jinja2
import polars as pl
import pytest

from tests.dbt.lakes import PROJECT

Row = dict[str, Any]
Pooled = Callable[..., list[Row]]

LIFT: Row = {
    "collaboration_id": 1,
    "show_id": "a",
    "partner_show_id": "b",
    "starts_at": datetime(2026, 3, 4),
    "state": "final",
    "is_insufficient": False,
    "reach": 2_000,
    "exposed": 1_000,
    "pool_keys": 10_000,
    "converted": 30,
    "organic": 10.0,
    "estimate": 20.0,
    "estimate_high": 40.0,
    "at_most": None,
    "least_exposed": 200,
    "least_events": 5.0,
    "cost": None,
    "currency": None,
    "linkability": 0.8,
    "linkability_se": 0.0,
    "k": 2.0,
    "widening": 1.0,
    "gross_last_touch": 90.0,
    "model_version": "pace-3",
}
UNCOMPARED = {
    "estimate": None,
    "estimate_high": None,
    "organic": None,
    "is_insufficient": True,
    "at_most": 50,
    "pool_keys": None,
}
SCHEMA = {
    "at_most": pl.Int64,
    "cost": pl.Float64,
    "currency": pl.String,
    "estimate": pl.Float64,
    "estimate_high": pl.Float64,
    "organic": pl.Float64,
    "pool_keys": pl.Int64,
    "linkability_se": pl.Float64,
}


@pytest.fixture
def pooled(tmp_path: Path) -> Pooled:
    return partial(_pooled, tmp_path)


def _pooled(folder: Path, *changes: Row, covariances: dict[tuple[int, int], float]) -> list[Row]:
    """fct_partner_lift of rows like LIFT but for `changes`."""
    lifts = pl.DataFrame(
        [LIFT | {"collaboration_id": number} | one for number, one in enumerate(changes, 1)],
        schema_overrides=SCHEMA,
    )
    pairs = pl.DataFrame(
        [(*pair, value) for pair, value in covariances.items()],
        ["target_id", "other_id", "covariance"],
        orient="row",
    )
    text = (PROJECT / "macros" / "pooled_lift.sql").read_text()
    call = "{{ pooled_lift(['show_id', 'partner_show_id']) }}"
    lifts.write_parquet(folder / "fct_collaboration_lift.parquet")
    pairs.write_parquet(folder / "int_solution_covariances.parquet")
    query = (
        jinja2.Environment().from_string(text + call).render(ref=lambda name: f"'{folder / name}.parquet'")
    )
    with duckdb.connect() as con:
        return pl.DataFrame(con.sql(query)).sort("partner_show_id").to_dicts()


def test_a_sum_errs_by_all_that_its_collaborations_share(pooled: Pooled) -> None:
    (found,) = pooled({}, {}, covariances={(1, 1): 100.0, (2, 2): 100.0, (1, 2): 50.0, (2, 1): 50.0})
    assert (found["collaborations"], found["not_comparable"], found["new_listeners"]) == (2, 0, 40.0)
    assert found["se"] == pytest.approx(300**0.5)
    assert found["new_listeners_high"] == pytest.approx(40 + 2 * 300**0.5)


def test_one_with_nobody_to_compare_with_is_counted_beside_the_sum(pooled: Pooled) -> None:
    found = pooled({}, UNCOMPARED, UNCOMPARED | {"partner_show_id": "c"}, covariances={(1, 1): 100.0})
    (one,) = found  # with c there is nothing to sum
    assert (one["collaborations"], one["not_comparable"], one["insufficient"]) == (1, 1, 0)
    assert (one["new_listeners"], one["organic"], one["reach"]) == (20.0, 10.0, 2_000)
    assert one["se"] == pytest.approx(10.0)


def test_those_with_too_few_to_compare_with_make_no_sum_sufficient(pooled: Pooled) -> None:
    few = {"pool_keys": 60, "is_insufficient": True, "at_most": 70}
    (one,) = pooled(few, few, few, covariances={(1, 1): 1.0})
    assert (one["is_insufficient"], one["new_listeners"], one["at_most"]) == (True, None, 210)
    (two,) = pooled(few, {}, covariances={(1, 1): 1.0})
    assert (two["is_insufficient"], two["new_listeners"]) == (False, 40.0)
