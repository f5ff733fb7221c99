"""PACE's solve: from cohorts' counts to the figures of each collaboration (ATTRIBUTION §2, 6–11)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from attribution.calibration import Calibration, calibrated
from attribution.figures import Figures, Linkability, scale_of
from attribution.holdout import Holdout
from attribution.measured import measured
from attribution.organic import excess_of
from attribution.overlap import effects
from attribution.parameters import DEFAULTS, MODEL_VERSION, Parameters

NEGLIGIBLE = 1e-6  # a covariance, of the product of both errors

Schema = dict[str, pl.DataType | type[pl.DataType]]

LIFTS: Schema = {
    "target_id": pl.Int64,
    # counts
    "converted": pl.Int64,  # x
    "organic": pl.Float64,  # O so far; null: nobody to compare with
    "excess": pl.Float64,  # E, alike
    "theta": pl.Float64,
    "theta_se": pl.Float64,  # null: θ was not estimated
    "theta_source": pl.String,  # history | none
    "placebo_converts": pl.Int64,  # xb
    "placebo_expected": pl.Float64,  # Σ nb·r0
    "pool_rate": pl.Float64,  # r1 and r0 of those who heard nothing, weighted by strata as the exposed are
    "history_rate": pl.Float64,
    # effect; null where nobody was exposed for any time, or can be compared with
    "rate": pl.Float64,  # δ
    "new_listeners": pl.Float64,  # τ so far
    "low": pl.Float64,
    "high": pl.Float64,
    "forecast": pl.Float64,  # of the final figure; that figure once final
    "forecast_low": pl.Float64,
    "forecast_high": pl.Float64,
    "se": pl.Float64,  # of new_listeners, λ's error included
    # the same by a randomised holdout; null without one
    "holdout_keys": pl.Int64,
    "holdout_converted": pl.Int64,
    "holdout_new_listeners": pl.Float64,
    "holdout_low": pl.Float64,
    "holdout_high": pl.Float64,
    "holdout_se": pl.Float64,  # λ's error included
    # what it rests on
    "linkability": pl.Float64,
    "linkability_se": pl.Float64,  # null: assumed
    "linkability_source": pl.String,  # assumed | app_devices
    "k": pl.Float64,
    "k_triples": pl.Int64,
    "is_calibrated": pl.Boolean,
    "widening": pl.Float64,  # an interval's half-width is k · widening · se
    # flags
    "is_insufficient": pl.Boolean,
    "has_pre_trend": pl.Boolean,
    "has_concurrent_spike": pl.Boolean,
    "least_exposed": pl.Int64,  # below either of them too little was seen to tell
    "least_events": pl.Float64,
    "is_split": pl.Boolean,  # an exposure recorded more than once: its effect in equal parts
    "upper_bound": pl.Int64,  # "fewer than" so many so far; null: sufficient, or none to tell by
    "model_version": pl.String,
}
COVARIANCES: Schema = {
    "target_id": pl.Int64,
    "other_id": pl.Int64,
    "covariance": pl.Float64,  # of new_listeners, without λ's error
}


@dataclass(frozen=True)
class Solution:
    """lifts (LIFTS): one row a collaboration. covariances (COVARIANCES): one row a pair that errs together.

    new_listeners of any set S summed to T: se² = ΣΣ covariance over S + (T · linkability_se / linkability)²,
    and the interval is T ± k · widening · se.
    """

    lifts: pl.DataFrame
    covariances: pl.DataFrame


def solve(
    rates: pl.DataFrame,
    totals: pl.DataFrame,
    overlaps: pl.DataFrame,
    targets: pl.DataFrame,
    linkability: pl.DataFrame,
    parameters: Parameters = DEFAULTS,
) -> Solution:
    """The figures of all collaborations in `targets`; placebo triples among them calibrate the interval.

    rates, totals, overlaps, targets, linkability: int_cohort_rates, int_cohort_totals, int_overlaps,
    int_collaborations, int_linkability. Follow-up counts as far as it is over: a figure before the end is one
    of the listeners that have come by then. Raises ValueError for λ outside (0, 1], and for a cohort or a
    stratum that there is not.
    """
    link = Linkability.of(linkability)
    found = measured(rates, totals, targets)
    excess = excess_of(found, parameters)
    solved = effects(found, excess, scale_of(found, link), overlaps, parameters)
    calibration = calibrated(found, excess, parameters)
    figures = Figures(found, excess, solved, calibration.k, link, parameters)
    return Solution(_lifts(figures, calibration), _covariances(figures))


def _lifts(figures: Figures, calibration: Calibration) -> pl.DataFrame:
    found, excess, link = figures.found, figures.excess, figures.link
    low, high = figures.interval(figures.new_listeners, figures.se)
    holdout = Holdout(figures)
    holdout_low, holdout_high = holdout.interval
    forecast_low, forecast_high = figures.interval(figures.forecast, figures.forecast_se)
    rows = pl.DataFrame(
        {
            "target_id": found.target_id,
            "converted": excess.converted,
            "organic": excess.organic,
            "excess": excess.excess,
            "theta": excess.theta,
            "theta_se": np.where(found.has_history, excess.theta_se, np.nan),
            "theta_source": np.where(found.has_history, "history", "none").astype(object),
            "placebo_converts": excess.placebo_converts,
            "placebo_expected": excess.placebo_expected,
            "pool_rate": excess.pool_rate,
            "history_rate": excess.history_rate,
            "rate": figures.solved.rate,
            "new_listeners": figures.new_listeners,
            "low": low,
            "high": high,
            "forecast": figures.forecast,
            "forecast_low": forecast_low,
            "forecast_high": forecast_high,
            "se": figures.se,
            "holdout_keys": holdout.keys,
            "holdout_converted": holdout.converted,
            "holdout_new_listeners": holdout.new_listeners,
            "holdout_low": holdout_low,
            "holdout_high": holdout_high,
            "holdout_se": holdout.se,
            "is_insufficient": figures.is_insufficient,
            "has_pre_trend": excess.has_pre_trend,
            "has_concurrent_spike": excess.has_concurrent_spike,
            "is_split": figures.solved.is_split,
            "upper_bound": figures.upper_bound,
        },
        schema_overrides={"theta_source": pl.String},
    )
    same_for_all = {
        "linkability": link.value,
        "linkability_se": link.se,
        "linkability_source": link.source,
        "k": calibration.k,
        "k_triples": calibration.triples,
        "is_calibrated": calibration.is_calibrated,
        "widening": figures.widening,
        "least_exposed": figures.parameters.least_exposed,
        "least_events": figures.parameters.least_events,
        "model_version": MODEL_VERSION,
    }
    return (
        rows.filter(pl.Series(~found.is_placebo))
        .with_columns(pl.col(pl.Float64).fill_nan(None))
        .with_columns(pl.lit(value, LIFTS[name]).alias(name) for name, value in same_for_all.items())
        .select(pl.col(name).cast(dtype) for name, dtype in LIFTS.items())
    )


def _covariances(figures: Figures) -> pl.DataFrame:
    """Of all pairs of one show but those that hardly err together, which are most over the years."""
    ids, scale, found = figures.found.target_id, figures.scale, []
    for places, of_effects in figures.solved.covariances:
        covariance = of_effects * np.outer(scale[places], scale[places])
        errors = np.sqrt(np.diag(covariance))
        this, other = np.nonzero(np.abs(covariance) > NEGLIGIBLE * np.outer(errors, errors))
        found.append((ids[places[this]], ids[places[other]], covariance[this, other]))
    if not found:
        return pl.DataFrame(schema=COVARIANCES)
    return pl.DataFrame([np.concatenate(parts) for parts in zip(*found, strict=True)], COVARIANCES)
