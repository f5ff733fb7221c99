"""From δ to new listeners: scale, interval, forecast of the final one, upper bound (ATTRIBUTION §2, 9–11)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from attribution.limits import poisson_limit
from attribution.measured import Bools, Floats, Measured
from attribution.organic import Excess
from attribution.overlap import Effects
from attribution.parameters import ASSUMED, Parameters


@dataclass(frozen=True)
class Linkability:
    """λ: the share of new listeners whose new show is seen under the key that was exposed."""

    value: float
    se: float | None
    source: str

    @classmethod
    def of(cls, frame: pl.DataFrame) -> Linkability:
        """The one row of int_linkability. Raises ValueError for none or several, and for λ outside (0, 1]."""
        if frame.height != 1:
            raise ValueError(f"int_linkability has {frame.height} rows, one is wanted")
        row = frame.row(0, named=True)
        if not (row["linkability"] and 0 < row["linkability"] <= 1):
            raise ValueError(f"linkability is {row['linkability']}, a share above 0 is wanted")
        return cls(row["linkability"], row["se"], row["source"])

    @property
    def relative_se(self) -> float:
        return (self.se or 0.0) / self.value


@dataclass(frozen=True)
class Figures:
    """What is published of each target; NaN where nobody was exposed or could be compared with."""

    found: Measured
    excess: Excess
    solved: Effects
    k: float
    link: Linkability
    parameters: Parameters

    @property
    def widening(self) -> float:
        """Of an interval, beyond k standard errors."""
        return self.parameters.assumed_widening if self.link.source == ASSUMED else 1.0

    @cached_property
    def people(self) -> Floats:
        """Listeners reached so far who did not know A, more by those whom λ loses from sight."""
        return _people(self.found, self.link)

    @cached_property
    def scale(self) -> Floats:
        """New listeners so far, a unit of δ."""
        return scale_of(self.found, self.link)

    @cached_property
    def final_scale(self) -> Floats:
        """The same once everybody was reached and followed up."""
        final = self.found.full_response * ratio(self.people, self.found.arrived)
        return np.where(self.found.is_final, self.scale, final)

    @cached_property
    def new_listeners(self) -> Floats:
        """τ so far."""
        return self.solved.rate * self.scale

    @cached_property
    def se(self) -> Floats:
        return self._se(self.new_listeners, self.scale, 0.0)

    @cached_property
    def forecast(self) -> Floats:
        """τ at the end; equal to `new_listeners` once final."""
        return self.solved.rate * self.final_scale

    @cached_property
    def forecast_se(self) -> Floats:
        to_come = np.where(self.found.is_final, 0.0, self._variance_to_come())
        return self._se(self.forecast, self.final_scale, to_come)

    def interval(self, figure: Floats, se: Floats) -> tuple[Floats, Floats]:
        """Low and high."""
        half = self.k * self.widening * se
        return figure - half, figure + half

    @cached_property
    def is_insufficient(self) -> Bools:
        """Too few to tell, or nobody to compare with."""
        found, excess, p = self.found, self.excess, self.parameters
        few = np.minimum(found.exposed, excess.pool_keys) < p.least_exposed
        few |= excess.converted + excess.organic < p.least_events
        return few | ~found.can_tell | ~excess.has_control

    @cached_property
    def upper_bound(self) -> Floats:
        """The least whole number that the new listeners so far are surely below; NaN where sufficient, and
        where some were reached but none of them could be followed.

        An exact limit of x, less the organic ones there were at least; no more than were reached who did not
        know A. What siblings brought is left in, which can only make it larger.
        """
        p, excess = self.parameters, self.excess
        limits = np.full(len(self.people), np.nan)
        for place in np.flatnonzero(self.is_insufficient):
            limits[place] = poisson_limit(excess.converted[place], (1 - p.coverage) / 2)
        surely_organic = np.maximum(excess.organic - p.z * np.sqrt(excess.organic_variance), 0)
        surely_organic = np.where(excess.has_control, surely_organic, 0.0)
        most = self.people * self.widening * (1 + p.z * self.link.relative_se)
        bound = (limits - surely_organic) * ratio(most, self.found.exposed)
        reached = self.people * self.link.value
        bound = np.fmin(np.fmax(bound, self.new_listeners), reached)
        can_bound = self.is_insufficient & ((self.found.exposed > 0) | (reached == 0))
        return np.where(can_bound, np.floor(np.maximum(bound, 0)) + 1, np.nan)

    def _se(self, figure: Floats, scale: Floats, more: Floats | float) -> Floats:
        of_link = figure * self.link.relative_se
        return np.sqrt(self.solved.variance * scale**2 + more + of_link**2)

    def _variance_to_come(self) -> Floats:
        """What of chance the final figure will have beyond what δ has so far.

        Converts still to come are a Poisson count. And follow-up grows evenly while most of those brought
        come early, so that the organic expectation, with its error, weighs more in the end.
        """
        found, excess = self.found, self.excess
        growth = ratio(np.ones_like(found.arrived), found.arrived)
        full_response = found.full_response * found.exposed * growth
        organic = np.maximum(excess.full_organic * growth - excess.organic, 0)
        brought = np.maximum(self.solved.rate, 0) * np.maximum(full_response - found.response, 0)
        counted = excess.organic_variance * ratio(full_response, found.response) ** 2
        error = np.maximum(excess.full_organic_variance * growth**2 - counted, 0)
        per_convert = ratio(self.people, found.exposed)
        return np.asarray((organic + brought + error) * per_convert**2)


def scale_of(found: Measured, link: Linkability) -> Floats:
    """New listeners so far, a unit of δ."""
    return ratio(found.response, found.exposed) * _people(found, link)


def _people(found: Measured, link: Linkability) -> Floats:
    known_share = ratio(found.known, found.known + found.exposed, of_nothing=0.0)
    return np.asarray(found.reached * (1 - known_share) / link.value)


def ratio(above: Floats, below: Floats, of_nothing: float = np.nan) -> Floats:
    """above ÷ below, by target."""
    return np.asarray(np.divide(above, below, out=np.full(len(above), of_nothing), where=below > 0))
