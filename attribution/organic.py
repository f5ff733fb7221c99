"""What the exposed would have done anyway, and what is left: θ, O, E, variance (ATTRIBUTION §2, 5–7)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attribution.measured import Bools, Cohort, Counts, Floats, Measured
from attribution.parameters import Parameters


@dataclass(frozen=True)
class Excess:
    """Step 7 and what leads to it; by target."""

    converted: Floats  # x
    theta: Floats
    theta_se: Floats  # 0 without history: θ = 1 is then no estimate
    placebo_converts: Floats  # xb
    placebo_expected: Floats  # Σ nb·r0, each episode by the rates beside it
    organic: Floats  # O, of the follow-up that is over
    full_organic: Floats  # O once all of those exposed so far are followed up whole
    relative_variance: Floats  # of O: that of θ and of the pool's rates
    has_control: Bools  # any follow-up of others at the same time
    pool_rate: Floats  # of those who heard nothing, at the same time, weighted as the exposed are; NaN: none
    history_rate: Floats  # the same of the weeks before
    has_pre_trend: Bools
    has_concurrent_spike: Bools

    @property
    def excess(self) -> Floats:
        """E."""
        return self.converted - self.organic

    @property
    def variance(self) -> Floats:
        """Of the excess: a Poisson count's, and what is not known of O."""
        return np.maximum(self.converted, 1) + self.organic**2 * self.relative_variance

    def variance_beside(self, seen: Floats) -> Floats:
        """Of the excess as an estimate of those who came, when `seen` is the share of them that it holds.

        How many a collaboration brought is a count, not the mean of one: only who of them is among the
        exposed is chance. So from the Poisson variance goes what those brought have of it (decision 0018).
        """
        return self.variance - seen * np.maximum(self.excess, 0)

    @property
    def z(self) -> Floats:
        """How far from no effect, in standard errors."""
        return self.excess / np.sqrt(self.variance)


def rates_of(counts: Counts, prior: float) -> Floats:
    """Conversion rates, targets × strata, drawn to the target's pooled one; 0 where nobody was followed."""
    converts, followed = counts.converts.sum(1, keepdims=True), counts.followed.sum(1, keepdims=True)
    pooled = np.divide(converts, followed, out=np.zeros_like(converts), where=followed > 0)
    return np.asarray((counts.converts + prior * pooled) / (counts.followed + prior))


def _relative_variance(weights: Floats, counts: Counts, rates: Floats, prior: float) -> Floats:
    """Of the mean of rates so weighted: each stratum's converts are a Poisson count."""
    of_sum = (weights**2 * rates / (counts.followed + prior)).sum(1)
    squared = (weights * rates).sum(1) ** 2
    return np.asarray(np.divide(of_sum, squared, out=np.zeros_like(of_sum), where=squared > 0))


def _expected_beside(found: Measured, parameters: Parameters) -> Floats:
    """How many converts others' rates let expect of each target's placebo episodes, each in its own days."""
    one = found.placebos
    expected = (one.placebo.followed * rates_of(one.history, parameters.pool_prior)).sum(1)
    return np.bincount(one.target, expected, len(found.target_id)).astype(np.float64)


def excess_of(found: Measured, parameters: Parameters) -> Excess:
    """Steps 5–7 for each target.

    Without usable history θ = 1 and its uncertainty is the prior's alone: placebo episodes that were not fit
    to estimate θ do not make it surer.
    """
    p = parameters
    exposed, placebo = found.cohorts[Cohort.EXPOSED], found.cohorts[Cohort.PLACEBO]
    pool, history = found.cohorts[Cohort.CONTEMPORANEOUS], found.cohorts[Cohort.HISTORY]
    now, then = rates_of(pool, p.pool_prior), rates_of(history, p.pool_prior)

    placebo_converts = placebo.converts.sum(1)
    placebo_expected = _expected_beside(found, p)
    taken_up = (placebo_converts + p.prior) / (placebo_expected + p.prior)
    placebo_keys = np.where(found.has_history, placebo.converting_keys.sum(1), 0.0)
    theta = np.where(found.has_history, taken_up, 1.0)
    theta_se = np.where(found.has_history, theta / np.sqrt(placebo_keys + p.prior), 0.0)

    now_expected, then_expected = (exposed.keys * now).sum(1), (exposed.keys * then).sum(1)
    both = (now_expected > 0) & (then_expected > 0)
    grown = np.divide(now_expected, then_expected, out=np.ones_like(now_expected), where=both)
    of_chance = np.sqrt(
        _relative_variance(exposed.keys, pool, now, p.pool_prior)
        + _relative_variance(exposed.keys, history, then, p.pool_prior)
    )
    people = exposed.keys.sum(1)
    nobody = np.full_like(people, np.nan)
    return Excess(
        converted=exposed.converts.sum(1),
        theta=theta,
        theta_se=theta_se,
        placebo_converts=placebo_converts,
        placebo_expected=placebo_expected,
        organic=theta * (exposed.followed * now).sum(1),
        full_organic=theta * now_expected,
        relative_variance=1 / (placebo_keys + p.prior) + 1 / np.maximum(pool.converts.sum(1), 1),
        has_control=pool.followed.sum(1) > 0,
        has_pre_trend=found.has_history & (np.abs(theta - 1) > p.pre_trend * theta_se),
        pool_rate=np.divide(now_expected, people, out=nobody.copy(), where=people > 0),
        history_rate=np.divide(then_expected, people, out=nobody.copy(), where=people > 0),
        has_concurrent_spike=(grown > p.spike) & (np.log(grown) > p.spike_errors * of_chance),
    )
