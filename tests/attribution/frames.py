"""Small frames of the cohort models' shapes, for tests of the solve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from attribution.parameters import DEFAULTS, Parameters
from attribution.solve import Solution, solve

DAY_US = 86_400_000_000
FULL_RESPONSE = 1 - float(np.exp(-5))  # G(30 d)
START_US = 200 * DAY_US
RATES = {
    "target_id": pl.Int64,
    "cohort": pl.String,
    "placebo_key": pl.Int64,
    "stratum": pl.Int32,
    "keys": pl.Int64,
    "followed": pl.Float64,
    "converts": pl.Int64,
    "converting_keys": pl.Int64,
}
TOTALS = {
    "target_id": pl.Int64,
    "reached": pl.Int64,
    "known": pl.Int64,
    "exposed": pl.Int64,
    "response": pl.Float64,
    "full_response": pl.Float64,
    "placebo_episodes": pl.Int64,
    "has_history": pl.Boolean,
    "arrived": pl.Float64,
    "as_of_us": pl.Int64,
    "has_look_back": pl.Boolean,
}
OVERLAPS = {
    "target_id": pl.Int64,
    "other_id": pl.Int64,
    "common_keys": pl.Int64,
    "converted_by_other": pl.Float64,
}
TARGETS = {
    "target_id": pl.Int64,
    "show_key": pl.Int64,
    "partner_show_key": pl.Int64,
    "starts_us": pl.Int64,
    "first_us": pl.Int64,
    "exposure_ends_us": pl.Int64,
    "final_us": pl.Int64,
    "is_placebo": pl.Boolean,
}
LINKABILITY = {"linkability": pl.Float64, "se": pl.Float64, "source": pl.String, "installs": pl.Int64}


@dataclass(frozen=True)
class Frames:
    """What `solve` takes, in its order."""

    rates: pl.DataFrame
    totals: pl.DataFrame
    overlaps: pl.DataFrame
    targets: pl.DataFrame
    linkability: pl.DataFrame


@dataclass(frozen=True)
class Target:
    """One collaboration whose listeners are all of one stratum."""

    target_id: int
    exposed: int = 1_000
    converts: int = 30
    pool: tuple[int, int] = (10_000, 100)  # keys, converts
    history: tuple[int, int] = (10_000, 100)
    placebos: tuple[int, int, int] = (4, 2_000, 20)  # episodes, keys, converts
    reached: int = 2_000
    known: int = 250
    followed: float = 1.0  # share of the follow-up that is over
    response: float = FULL_RESPONSE  # of one key
    arrived: float = 1.0
    has_history: bool = True
    has_look_back: bool = True
    is_placebo: bool = False
    show: int = 1
    partner: int = 0  # 0: one of its own
    begins: float = 0.0  # days after the others
    placebo_key: int = 0  # 0: an episode of its own

    @property
    def is_final(self) -> bool:
        return self.followed == 1.0

    @property
    def episode(self) -> int:
        return self.placebo_key or 1_000_000 + self.target_id

    def rates(self) -> list[tuple[object, ...]]:
        cohorts = {
            "exposed": (0, self.exposed, self.followed, self.converts),
            "contemporaneous": (0, self.pool[0], self.followed, self.pool[1]),
            "history": (self.episode, self.history[0], 1.0, self.history[1]),
            "placebo": (self.episode, self.placebos[1], 1.0, self.placebos[2]),
        }
        return [
            (self.target_id, cohort, episode, 4, keys, keys * followed, converts, converts)
            for cohort, (episode, keys, followed, converts) in cohorts.items()
            if keys
        ]

    def totals(self) -> tuple[object, ...]:
        return (
            self.target_id,
            self.reached,
            self.known,
            self.exposed,
            self.exposed * self.response,
            FULL_RESPONSE,
            self.placebos[0],
            self.has_history,
            self.arrived,
            START_US,
            self.has_look_back,
        )

    def named(self) -> tuple[object, ...]:
        starts_us = START_US - 44 * DAY_US + int(self.begins * DAY_US)
        final_us = starts_us + 44 * DAY_US if self.is_final else START_US + DAY_US
        partner = self.partner or 1_000_000 + self.target_id
        ends_us = final_us - 30 * DAY_US
        return self.target_id, self.show, partner, starts_us, starts_us, ends_us, final_us, self.is_placebo


def frames(
    targets: Sequence[Target],
    overlaps: Sequence[tuple[int, int, float]] = (),
    linkability: tuple[float, float | None, str, int] = (0.88, None, "assumed", 0),
) -> Frames:
    """overlaps: (target j, other i, M_ji); as many of j heard i as can be converted so."""
    response = {one.target_id: one.response for one in targets}
    common = [(this, other, round(value / response[this]), value) for this, other, value in overlaps]
    return Frames(
        pl.DataFrame([row for one in targets for row in one.rates()], RATES, orient="row"),
        pl.DataFrame([one.totals() for one in targets], TOTALS, orient="row"),
        pl.DataFrame(common, OVERLAPS, orient="row"),
        pl.DataFrame([one.named() for one in targets], TARGETS, orient="row"),
        pl.DataFrame([linkability], LINKABILITY, orient="row"),
    )


def solved(given: Frames, parameters: Parameters = DEFAULTS) -> Solution:
    return solve(
        given.rates, given.totals, given.overlaps, given.targets, given.linkability, parameters=parameters
    )
