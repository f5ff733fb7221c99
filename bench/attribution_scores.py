"""How near estimates come to the truth: the figures of ATTRIBUTION.md §3."""

from __future__ import annotations

import polars as pl

MANY = 100  # true new listeners from which the relative error counts


def scores(table: pl.DataFrame) -> dict[str, float | int | None]:
    """The figures of many collaborations.

    `table`, one row a collaboration: world, month, effect and caused (the truth), tau, low, high, matched (by
    the plain matched control), credited (by last touch). `bias` is of the sum; `false_credit` the share of
    those without effect whose interval lies above 0, `insufficient` ones never, since of them only an upper
    bound is published; `platform_month_error` the median over (world, month).
    """
    error, gross = pl.col("tau") - pl.col("caused"), pl.col("credited") - pl.col("caused")
    matched = pl.col("matched") - pl.col("caused")
    none, many = pl.col("effect") == 0, pl.col("caused") >= MANY
    months = (
        table.group_by("world", "month").agg(pl.col("tau", "caused").sum()).filter(pl.col("caused") >= MANY)
    )
    figures = table.select(
        collaborations=pl.len(),
        without_effect=none.sum(),
        bias=error.sum() / pl.col("caused").sum(),
        rmse=(error**2).mean().sqrt(),
        median_abs_error=error.abs().median(),
        coverage=((pl.col("low") <= pl.col("caused")) & (pl.col("caused") <= pl.col("high"))).mean(),
        false_credit=((pl.col("low") > 0) & ~pl.col("insufficient")).filter(none).mean(),
        relative_error_of_many=(error.abs() / pl.col("caused")).filter(many).median(),
        matched_bias=matched.sum() / pl.col("caused").sum(),
        matched_rmse=(matched**2).mean().sqrt(),
        last_touch_bias=gross.sum() / pl.col("caused").sum(),
        last_touch_rmse=(gross**2).mean().sqrt(),
        last_touch_false_credit=(pl.col("credited") > 0).filter(none).mean(),
    ).row(0, named=True)
    figures["rmse_over_last_touch"] = figures["rmse"] / max(figures["last_touch_rmse"], 1e-9)
    figures["rmse_over_matched"] = figures["rmse"] / max(figures["matched_rmse"], 1e-9)
    figures["platform_month_error"] = months.select(
        (pl.col("tau") / pl.col("caused") - 1).abs().median()
    ).item()
    return {
        name: value if value is None or isinstance(value, int) else round(float(value), 4)
        for name, value in figures.items()
    }
