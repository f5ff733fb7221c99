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
    theta_own_error: Floats  # relative standard error of θ for xb and the prior; without history the latter's
    theta_beside_error: Floats  # and for the rates beside the placebo episodes
    placebo_converts: Floats  # xb
    placebo_expected: Floats  # Σ nb·r0, each episode by the rates beside it
    organic: (
        Floats  # O, of the follow-up that is over; NaN: nobody to compare with, or old listeners look new
    )
    full_organic: Floats  # O once all of those exposed so far are followed up whole
    pool_se: Floats  # of O, for what the pool's rates are not known
    full_pool_se: Floats
    pool_keys: Floats
    has_control: Bools  # any follow-up of others at the same time, and logs of A that tell who is new
    pool_rate: Floats  # of those who heard nothing, at the same time, weighted as the exposed are; NaN: none
    history_rate: Floats  # the same of the weeks before
    has_pre_trend: Bools
    has_concurrent_spike: Bools

    @property
    def excess(self) -> Floats:
        """E."""
        return self.converted - self.organic

    @property
    def chance(self) -> Floats:
        """Variance of x, a Poisson count."""
        return np.maximum(self.converted, 1)

    @property
    def theta_error(self) -> Floats:
        return np.hypot(self.theta_own_error, self.theta_beside_error)

    @property
    def organic_variance(self) -> Floats:
        return (self.organic * self.theta_error) ** 2 + self.pool_se**2

    @property
    def full_organic_variance(self) -> Floats:
        return (self.full_organic * self.theta_error) ** 2 + self.full_pool_se**2

    @property
    def z(self) -> Floats:
        """How far from no effect, in standard errors."""
        return self.excess / np.sqrt(self.chance + self.organic_variance)


def rates_of(counts: Counts, prior: float) -> Floats:
    """Conversion rates, targets × strata, drawn to the target's pooled one; 0 where nobody was followed."""
    converts, followed = counts.converts.sum(1, keepdims=True), counts.followed.sum(1, keepdims=True)
    pooled = np.divide(converts, followed, out=np.zeros_like(converts), where=followed > 0)
    return np.asarray((counts.converts + prior * pooled) / (counts.followed + prior))


def _rates_of_one_at_least(counts: Counts, prior: float) -> Floats:
    """The same; where none converted, as if one had: none seen is not none possible."""
    followed = counts.followed.sum(1, keepdims=True)
    is_none = (counts.converts.sum(1, keepdims=True) == 0) & (followed > 0)
    one = np.divide(1.0, followed, out=np.zeros_like(followed), where=is_none)
    return np.asarray(np.where(is_none, one, rates_of(counts, prior)))


def _error_of_expected(expected: Floats, weight: Floats, counts: Counts) -> Floats:
    """Standard error of `expected` converts of `weight` listeners by the rates of `counts`, a Poisson count.

    Where none converted the rate is 0, but known only as well as one convert tells.
    """
    converts, followed = counts.converts.sum(1), counts.followed.sum(1)
    of_one = np.divide(weight, followed, out=np.zeros_like(weight), where=followed > 0)
    return np.asarray(np.where(converts > 0, expected / np.sqrt(np.maximum(converts, 1)), of_one))


def _relative_variance(weights: Floats, counts: Counts, rates: Floats, prior: float) -> Floats:
    """Of the mean of rates so weighted: each stratum's converts are a Poisson count."""
    of_sum = (weights**2 * rates / (counts.followed + prior)).sum(1)
    squared = (weights * rates).sum(1) ** 2
    return np.asarray(np.divide(of_sum, squared, out=np.zeros_like(of_sum), where=squared > 0))


@dataclass(frozen=True)
class _History:
    """What placebo episodes tell of each target; those with nobody beside them tell nothing."""

    converts: Floats  # xb
    keys: Floats  # ub
    expected: Floats  # Σ nb·r0, each episode by the rates of its own days
    expected_se: Floats

    @classmethod
    def of(cls, found: Measured, prior: float) -> _History:
        one = found.placebos
        is_comparable = one.history.followed.sum(1) > 0
        followed = one.placebo.followed.sum(1)
        expected = (one.placebo.followed * rates_of(one.history, prior)).sum(1)
        # The pools beside B's successive episodes are the same devices, so their errors add up as they are.
        error = _error_of_expected(expected, followed, one.history)

        def summed(of_episodes: Floats) -> Floats:
            kept = np.where(is_comparable, of_episodes, 0.0)
            return np.bincount(one.target, kept, len(found.target_id)).astype(np.float64)

        placebo = one.placebo
        sums = (placebo.converts.sum(1), placebo.converting_keys.sum(1), expected, error)
        return cls(*map(summed, sums))


def excess_of(found: Measured, parameters: Parameters) -> Excess:
    """Steps 5–7 for each target.

    Without usable history θ = 1 and its uncertainty is the prior's alone: placebo episodes that were not fit
    to estimate θ do not make it surer.
    """
    p = parameters
    exposed = found.cohorts[Cohort.EXPOSED]
    pool, history = found.cohorts[Cohort.CONTEMPORANEOUS], found.cohorts[Cohort.HISTORY]
    now, then = rates_of(pool, p.pool_prior), rates_of(history, p.pool_prior)

    told, has_history = _History.of(found, p.pool_prior), found.has_history
    theta = np.where(has_history, (told.converts + p.prior) / (told.expected + p.prior), 1.0)
    own_error = np.sqrt(1 / (np.where(has_history, told.keys, 0.0) + p.prior))
    beside_error = np.where(has_history, told.expected_se / (told.expected + p.prior), 0.0)
    theta_se = np.where(has_history, theta * np.hypot(own_error, beside_error), 0.0)

    has_control = (pool.followed.sum(1) > 0) & found.has_look_back
    now_expected, then_expected = (exposed.keys * now).sum(1), (exposed.keys * then).sum(1)
    people, followed = exposed.keys.sum(1), exposed.followed.sum(1)
    organic = np.where(has_control, theta * (exposed.followed * now).sum(1), np.nan)
    full_organic = np.where(has_control, theta * now_expected, np.nan)
    nobody = np.full_like(people, np.nan)
    return Excess(
        converted=exposed.converts.sum(1),
        theta=theta,
        theta_se=theta_se,
        theta_own_error=own_error,
        theta_beside_error=beside_error,
        placebo_converts=told.converts,
        placebo_expected=told.expected,
        organic=organic,
        full_organic=full_organic,
        pool_se=_error_of_expected(organic, theta * followed, pool),
        full_pool_se=_error_of_expected(full_organic, theta * people, pool),
        pool_keys=pool.keys.sum(1),
        has_control=has_control,
        has_pre_trend=has_history & (np.abs(theta - 1) > p.pre_trend * theta_se),
        pool_rate=np.divide(now_expected, people, out=nobody.copy(), where=people > 0),
        history_rate=np.divide(then_expected, people, out=nobody.copy(), where=people > 0),
        has_concurrent_spike=_is_spike(exposed.keys, pool, history, p),
    )


def _is_spike(weights: Floats, pool: Counts, history: Counts, p: Parameters) -> Bools:
    """Whether others took up A more often than in the weeks before, and more so than by chance."""
    now, then = rates_of(pool, p.pool_prior), _rates_of_one_at_least(history, p.pool_prior)
    now_expected, then_expected = (weights * now).sum(1), (weights * then).sum(1)
    both = (now_expected > 0) & (then_expected > 0)
    grown = np.divide(now_expected, then_expected, out=np.ones_like(now_expected), where=both)
    of_chance = np.sqrt(
        _relative_variance(weights, pool, now, p.pool_prior)
        + _relative_variance(weights, history, then, p.pool_prior)
    )
    return np.asarray((grown > p.spike) & (np.log(grown) > p.spike_errors * of_chance))
