"""The effect where devices were held out by chance: both arms compared, without a model of who would come."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from attribution.figures import Figures, ratio
from attribution.measured import Cohort, Counts, Floats


@dataclass(frozen=True)
class Holdout:
    """New listeners so far by the randomised holdout; by target, NaN without one.

    Of PACE nothing is used but what makes listeners of devices: reach and λ. Neither strata nor θ are needed,
    since chance made the arms alike; siblings reached both arms alike. k is PACE's own calibration and does
    not apply: the interval is the normal one.
    """

    figures: Figures

    @cached_property
    def keys(self) -> Floats:
        keys = self._held_out.keys.sum(1)
        return np.where(keys > 0, keys, np.nan)

    @cached_property
    def converted(self) -> Floats:
        return np.where(np.isnan(self.keys), np.nan, self._held_out.converts.sum(1))

    @cached_property
    def new_listeners(self) -> Floats:
        """Converts by person-time, of the exposed less of those held out; scaled as PACE's excess is."""
        return (_rate(self._exposed) - _rate(self._held_out)) * self._scale

    @cached_property
    def se(self) -> Floats:
        """Binomial in both arms; one convert at least in each, since none seen is not none possible."""
        chance = (_binomial_variance(self._exposed) + _binomial_variance(self._held_out)) * self._scale**2
        of_link = self.new_listeners * self.figures.link.relative_se
        return np.sqrt(chance + of_link**2)

    @property
    def interval(self) -> tuple[Floats, Floats]:
        """Low and high."""
        half = self.figures.parameters.z * self.figures.widening * self.se
        return self.new_listeners - half, self.new_listeners + half

    @property
    def _exposed(self) -> Counts:
        return self.figures.found.cohorts[Cohort.EXPOSED]

    @property
    def _held_out(self) -> Counts:
        return self.figures.found.cohorts[Cohort.HELD_OUT]

    @cached_property
    def _scale(self) -> Floats:
        """New listeners a unit of rate: of the exposed as far as they were followed, and from them to all."""
        followed = self._exposed.followed.sum(1)
        return np.asarray(ratio(followed, self.figures.found.exposed) * self.figures.people)


def _rate(of: Counts) -> Floats:
    """Converts a device that is followed up whole, by target."""
    return ratio(of.converts.sum(1), of.followed.sum(1))


def _binomial_variance(of: Counts) -> Floats:
    """Of the rate."""
    followed = of.followed.sum(1)
    rate = np.minimum(ratio(np.maximum(of.converts.sum(1), 1), followed), 1)
    return ratio(rate * (1 - rate), followed)
