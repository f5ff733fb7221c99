"""The bench's figures against arithmetic done by hand."""

from __future__ import annotations

import polars as pl
import pytest

from bench.attribution_scores import scores

COLUMNS = ["effect", "caused", "tau", "low", "high", "insufficient", "matched", "credited"]


def table(*rows: tuple[float, int, float, float, float, bool, float, int]) -> pl.DataFrame:
    frame = pl.DataFrame(rows, COLUMNS, orient="row")
    return frame.with_columns(world=pl.lit(1), month=pl.lit("2026-06"))


def test_figures_are_what_they_say() -> None:
    found = scores(
        table(
            (0.02, 100, 110.0, 90.0, 130.0, False, 120.0, 400),
            (0.01, 100, 80.0, 70.0, 90.0, False, 100.0, 200),  # outside its interval
            (0.0, 0, 10.0, 1.0, 19.0, False, 0.0, 50),  # credited without effect, and outside
            (0.0, 0, 0.0, -5.0, 5.0, False, 0.0, 50),
        )
    )
    assert found["bias"] == 0.0  # 200 of 200
    assert found["rmse"] == pytest.approx((600 / 4) ** 0.5, abs=1e-4)  # 10² + 20² + 10²
    assert found["median_abs_error"] == 10.0
    assert found["coverage"] == 0.5
    assert found["false_credit"] == 0.5
    assert found["relative_error_of_many"] == 0.15  # of 0.10 and 0.20
    assert found["last_touch_rmse"] == pytest.approx((105_000 / 4) ** 0.5, abs=1e-4)  # 300², 100², 50², 50²
    assert found["last_touch_false_credit"] == 1.0
    assert found["platform_month_error"] == 0.0


def test_an_insufficient_collaboration_credits_nothing() -> None:
    found = scores(table((0.0, 0, 5.0, 1.0, 9.0, True, 5.0, 1), (0.1, 50, 50.0, 40.0, 60.0, False, 50.0, 90)))
    assert found["false_credit"] == 0.0
