"""Who of several collaborations of one show brought whom: M δ = E (ATTRIBUTION §2.8)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from attribution.measured import Bools, Floats, Ints, Measured
from attribution.organic import Excess
from attribution.parameters import Parameters
from attribution.shared_errors import of_chance, of_organic, without_negative

SINGULAR = 1e-9  # of the largest singular value: smaller ones are what rounding left


@dataclass(frozen=True)
class Effects:
    """δ by target: new listeners a unit of response; NaN where nobody was exposed or to compare with."""

    rate: Floats
    is_split: Bools  # the data cannot tell it from another one: both have an equal part of what they share
    covariances: list[tuple[Ints, Floats]]  # of δ: the places of a show's and their matrix

    @property
    def variance(self) -> Floats:
        """Of δ, by target."""
        found = np.full(len(self.rate), np.nan)
        for places, covariance in self.covariances:
            found[places] = np.diag(covariance)
        return found


def effects(
    found: Measured, excess: Excess, scale: Floats, overlaps: pl.DataFrame, parameters: Parameters
) -> Effects:
    """Solve for each group of collaborations that share exposed listeners.

    scale: new listeners a unit of δ, by target. overlaps: int_overlaps. Those with placebo triples, and with
    targets that nobody was exposed to or can be compared with, are nobody's. Errors are shared beyond the
    groups: by all of one show.

    How many a collaboration brought is a count, not the mean of one: only who of them is among the exposed
    is chance. So from the Poisson variance goes that of the count itself (decision 0018), as far as it is
    sure that they came (decision 0026).
    """
    solved = np.flatnonzero(found.can_tell & ~found.is_placebo & excess.has_control)
    rate = np.full(len(found.target_id), np.nan)
    is_split = np.zeros(len(found.target_id), bool)
    covariances = []
    pairs = _Pairs.of(found, overlaps, solved)
    for places in _by(found.show_key, solved):
        of_show = pairs.of_places(places)
        spread = np.zeros((len(places), len(places)))  # of excesses to effects
        members = np.zeros_like(spread)  # 1 where two are one exposure
        each = scale[places]
        for group in _by(of_show.connected(len(places)), np.arange(len(places))):
            matrix = np.diag(found.response[places[group]])
            matrix += of_show.matrix(of_show.converted_by_other, group, len(places))
            block = np.ix_(group, group)
            spread[block], members[block], split = _solve(matrix, parameters.same_exposure)
            rate[places[group]] = spread[block] @ excess.excess[places[group]]
            is_split[places[group]] = split
        common_keys = of_show.matrix(of_show.common_keys, np.arange(len(places)), len(places))
        chance = spread @ of_chance(found, excess, common_keys, places) @ spread.T
        organic = spread @ of_organic(found, excess, places) @ spread.T
        sure = rate[places] - parameters.z * np.sqrt(np.diag(chance + organic))
        unit = np.outer(each, each)
        of_those = without_negative(chance * unit - _of_counts(sure, each, members))
        seen = np.divide(of_those, unit, out=chance, where=unit > 0)
        covariances.append((places, seen + organic))
    return Effects(rate, is_split, covariances)


def _of_counts(sure: Floats, scale: Floats, members: Floats) -> Floats:
    """Poisson variances, in new listeners, of what collaborations surely brought (a unit of response).

    Those of one exposure have their shares of one count.
    """
    whole = (members @ scale)[:, None]
    brought = np.maximum(sure, 0) * np.outer(scale, scale)
    return np.divide(members * brought, whole, out=np.zeros_like(members), where=whole > 0)


@dataclass(frozen=True)
class _Pairs:
    """int_overlaps between solved targets: their places, sorted by `this`."""

    this: Ints
    other: Ints
    common_keys: Floats
    converted_by_other: Floats

    @classmethod
    def of(cls, found: Measured, overlaps: pl.DataFrame, solved: Ints) -> _Pairs:
        ids = found.target_id[solved]
        rows = overlaps.filter(
            pl.col("target_id") != pl.col("other_id"),
            *(pl.col(name).is_in(ids.tolist()) for name in ("target_id", "other_id")),
        ).sort("target_id", "other_id")
        this, other = (
            solved[np.searchsorted(ids, rows[name].cast(pl.Int64).to_numpy())]
            for name in ("target_id", "other_id")
        )
        numbers = (rows[name].cast(pl.Float64).to_numpy() for name in ("common_keys", "converted_by_other"))
        return cls(this, other, *numbers)

    def of_places(self, places: Ints) -> _Pairs:
        """Those among `places`, in their numbers there."""
        rows = slice(*np.searchsorted(self.this, [places[0], places[-1] + 1]))
        kept = np.flatnonzero(np.isin(self.this[rows], places) & np.isin(self.other[rows], places))
        kept = kept + (rows.start or 0)
        this, other = (np.searchsorted(places, of[kept]) for of in (self.this, self.other))
        return _Pairs(this, other, self.common_keys[kept], self.converted_by_other[kept])

    def connected(self, size: int) -> Ints:
        """By place: the lowest one that it is connected with by listeners whom both could have brought."""
        is_link = self.converted_by_other > 0
        return _connected(size, self.this[is_link], self.other[is_link])

    def matrix(self, numbers: Floats, group: Ints, size: int) -> Floats:
        """group × group; `group`: sorted places of `size`."""
        place = np.full(size, -1)
        place[group] = np.arange(len(group))
        this, other = place[self.this], place[self.other]
        inside = (this >= 0) & (other >= 0)
        found = np.zeros((len(group), len(group)))
        found[this[inside], other[inside]] = numbers[inside]
        return found


def _by(labels: Ints, places: Ints) -> Iterator[Ints]:
    """`places` of one label each, by label; `labels`: of all places."""
    order = places[np.argsort(labels[places], kind="stable")]
    for part in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1):
        if len(part):
            yield part


def _connected(size: int, left: Ints, right: Ints) -> Ints:
    """By place: the lowest place that it is connected with."""
    lowest = np.arange(size)
    while True:
        lower = lowest.copy()
        np.minimum.at(lower, left, lowest[right])
        np.minimum.at(lower, right, lowest[left])
        lower = lower[lower]
        if np.array_equal(lower, lowest):
            return lowest
        lowest = lower


def _solve(matrix: Floats, same: float) -> tuple[Floats, Floats, Bools]:
    """The weights by which excesses make δ, 1 where two are one exposure, and which are parts of one effect.

    Collaborations whose cohorts heard each other whole, at the same times, are one exposure recorded twice
    (by both shows, or by mistake): M is singular, and their excesses are not two observations but the same
    one. So they are solved as one, whose effect they share equally, as Shapley's symmetry wants. What may
    then still be singular (a range that is exactly the sum of two episodes) takes the solution of least norm.
    """
    if len(matrix) == 1:
        return 1 / matrix, np.eye(1), np.array([False])
    part_of = _same_exposures(matrix, same)
    members = np.eye(part_of.max() + 1)[part_of]  # targets × exposures
    sizes = members.sum(0)
    mean = members.T / sizes[:, None]
    inverse, is_singular = _inverse(mean @ matrix @ members)
    return members @ inverse @ mean, members @ members.T, (sizes[part_of] > 1) | is_singular


def _inverse(matrix: Floats) -> tuple[Floats, bool]:
    """Of least norm where M is singular, and whether it is."""
    scale = np.diag(matrix)[:, None]
    scaled = matrix / scale
    found = _plain_inverse(scaled)
    if found is not None:
        return found / scale.T, False
    left, values, right = np.linalg.svd(scaled)
    is_kept = values > SINGULAR * values[0]
    found = (right[is_kept].T / values[is_kept]) @ left[:, is_kept].T
    return found / scale.T, not is_kept.all()


def _plain_inverse(matrix: Floats) -> Floats | None:
    """None where M may be singular; a fraction of the cost of finding its singular values."""
    try:
        found = np.linalg.inv(matrix)
    except np.linalg.LinAlgError:
        return None
    condition = len(matrix) * np.linalg.norm(matrix, 1) * np.linalg.norm(found, 1)  # no less than it is
    return np.asarray(found) if condition * SINGULAR < 1 else None


def _same_exposures(matrix: Floats, same: float) -> Ints:
    """By row of M: the number of its exposure, 0 …"""
    share = matrix / np.diag(matrix)[:, None]
    is_same = np.minimum(share, share.T) >= same
    left, right = np.nonzero(np.triu(is_same, 1))
    found = _connected(len(matrix), left, right)
    return np.unique(found, return_inverse=True)[1].astype(np.int64)
