"""Who of several collaborations of one show brought whom: M δ = E (ATTRIBUTION §2.8)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from attribution.measured import Bools, Floats, Ints, Measured
from attribution.organic import Excess
from attribution.parameters import Parameters

SINGULAR = 1e-9  # of the largest singular value: smaller ones are what rounding left


@dataclass(frozen=True)
class Effects:
    """δ by target: new listeners a unit of response; NaN where nobody was exposed."""

    rate: Floats
    is_split: Bools  # the data cannot tell it from another one: both have an equal part of what they share
    covariances: list[tuple[Ints, Floats]]  # of δ: the places of a group and their matrix

    @property
    def variance(self) -> Floats:
        """Of δ, by target."""
        found = np.full(len(self.rate), np.nan)
        for group, covariance in self.covariances:
            found[group] = np.diag(covariance)
        return found


def effects(
    found: Measured, excess: Excess, variance: Floats, overlaps: pl.DataFrame, parameters: Parameters
) -> Effects:
    """Solve for each group of collaborations that share exposed listeners.

    variance: of the excess, by target. overlaps: int_overlaps. Those with placebo triples, and with targets
    nobody was exposed to, are nobody's.
    """
    solved = np.flatnonzero(found.can_tell & ~found.is_placebo)
    rate = np.full(len(found.target_id), np.nan)
    is_split = np.zeros(len(found.target_id), bool)
    covariances = []
    pairs = _pairs(found, overlaps, solved)
    for group, matrix in _groups(found, pairs, solved):
        of_group, covariance, split = _solve(
            matrix, excess.excess[group], variance[group], parameters.same_exposure
        )
        rate[group], is_split[group] = of_group, split
        covariances.append((group, covariance))
    return Effects(rate, is_split, covariances)


def _pairs(found: Measured, overlaps: pl.DataFrame, solved: Ints) -> pl.DataFrame:
    """this, other: places of two solved targets; converted_by_other."""
    places = pl.DataFrame(
        {"id": found.target_id[solved], "place": solved}, {"id": pl.Int64, "place": pl.Int64}
    )
    return (
        overlaps.select(
            pl.col("target_id", "other_id").cast(pl.Int64), pl.col("converted_by_other").cast(pl.Float64)
        )
        .filter((pl.col("target_id") != pl.col("other_id")) & (pl.col("converted_by_other") > 0))
        .join(places.rename({"id": "target_id", "place": "this"}), on="target_id")
        .join(places.rename({"id": "other_id", "place": "other"}), on="other_id")
        .select("this", "other", "converted_by_other")
        .sort("this", "other")
    )


def _groups(found: Measured, pairs: pl.DataFrame, solved: Ints) -> Iterator[tuple[Ints, Floats]]:
    """The places of each connected group and its M."""
    group_of = _connected(len(found.target_id), pairs["this"].to_list(), pairs["other"].to_list())
    labelled = pairs.with_columns(group=pl.Series([group_of[one] for one in pairs["this"]], dtype=pl.Int64))
    by_group = {key[0]: rows for key, rows in labelled.partition_by("group", as_dict=True).items()}
    members: dict[int, list[int]] = {}
    for place in solved.tolist():
        members.setdefault(group_of[place], []).append(place)
    for label, places in members.items():
        group = np.array(places, np.int64)
        matrix = np.diag(found.response[group])
        if label in by_group:
            rows = by_group[label]
            this, other = (np.searchsorted(group, rows[name].to_numpy()) for name in ("this", "other"))
            matrix[this, other] = rows["converted_by_other"].to_numpy()
        yield group, matrix


def _connected(size: int, left: Sequence[int], right: Sequence[int]) -> list[int]:
    """By place: the lowest place that it is connected with."""
    parent = list(range(size))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    for one, two in zip(left, right, strict=True):
        low, high = sorted((root(one), root(two)))
        parent[high] = low
    return [root(place) for place in range(size)]


def _solve(matrix: Floats, excess: Floats, variance: Floats, same: float) -> tuple[Floats, Floats, Bools]:
    """δ, its covariance and which of them are parts of one effect.

    Collaborations whose cohorts heard each other whole, at the same times, are one exposure recorded twice
    (by both shows, or by mistake): M is singular, and their excesses are not two observations but the same
    one. So they are solved as one, whose effect they share equally, as Shapley's symmetry wants. What may
    then still be singular (a range that is exactly the sum of two episodes) takes the solution of least norm.
    """
    if len(matrix) == 1:
        return excess / matrix[0], variance[:, None] / matrix**2, np.array([False])
    part_of = _same_exposures(matrix, same)
    members = np.eye(part_of.max() + 1)[part_of]  # targets × exposures
    sizes = members.sum(0)
    mean = members.T / sizes[:, None]
    reduced = mean @ matrix @ members
    scale = np.diag(reduced)[:, None]
    inverse = np.linalg.pinv(reduced / scale, rcond=SINGULAR) / scale.T
    singular = np.linalg.svd(reduced / scale, compute_uv=False)
    rate = members @ (inverse @ (mean @ excess))
    spread = members @ inverse
    covariance = spread @ np.diag(mean @ variance) @ spread.T
    return rate, covariance, (sizes[part_of] > 1) | (singular[-1] <= SINGULAR * singular[0])


def _same_exposures(matrix: Floats, same: float) -> Ints:
    """By row of M: the number of its exposure, 0 …"""
    share = matrix / np.diag(matrix)[:, None]
    is_same = np.minimum(share, share.T) >= same
    left, right = np.nonzero(np.triu(is_same, 1))
    found = _connected(len(matrix), left.tolist(), right.tolist())
    return np.unique(found, return_inverse=True)[1].astype(np.int64)
