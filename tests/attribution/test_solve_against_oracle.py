"""The solve finds what the oracle finds, fed with the oracle's own cohorts of a simulated world."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_series_equal

from attribution.measured import Cohort
from attribution.parameters import Parameters
from attribution.solve import Solution
from bench.attribution_world import World, WorldSpec, simulate
from tests.attribution.event_log import DAY, EventLog, Settings
from tests.attribution.frames import (
    FULL_RESPONSE,
    LINKABILITY,
    OVERLAPS,
    RATES,
    TARGETS,
    TOTALS,
    Frames,
    solved,
)
from tests.attribution.numpy_pace import (
    Measured,
    calibration,
    estimates,
    heard_both,
    joint_variance,
    measure,
    overlap,
    placebo_triples,
)
from tests.attribution.worlds import log_of

# Few people, so what counts as enough is less.
SETTINGS = Settings(least_exposed=20)
PARAMETERS = Parameters(least_exposed=20, least_triples=20)


@dataclass(frozen=True)
class Judged:
    """The same collaborations by the oracle and by the solve."""

    log: EventLog
    groups: list[list[Measured]]
    oracle: pl.DataFrame
    solution: Solution

    def column(self, name: str) -> pl.Series:
        return self.solution.lifts.sort("target_id")[name]


@pytest.fixture(scope="module")
def world() -> World:
    return simulate(WorldSpec(seed=7, people=2_000, shows=16, collaborations=8))


def judged(world: World, settings: Settings = SETTINGS, parameters: Parameters = PARAMETERS) -> Judged:
    log, airings, named = log_of(world, settings=settings)
    named = [replace(one, number=one.number + 1) for one in named]
    triples = placebo_triples(log, airings, named, triples=60)
    placebos = [measure(log, airings, one, [one]) for one in triples]
    enough = [one.z for one in placebos if len(one.exposed.key) >= settings.least_exposed]
    oracle = estimates(log, airings, named, calibration(np.array(enough)))
    groups = [
        [measure(log, airings, one, siblings) for one in siblings]
        for show in sorted({one.show for one in named})
        for siblings in [[one for one in named if one.show == show]]
    ]
    given = as_frames(log, groups, placebos)
    return Judged(log, groups, oracle.sort("collaboration"), solved(given, parameters))


def as_frames(log: EventLog, groups: list[list[Measured]], placebos: list[Measured]) -> Frames:
    """The oracle's cohorts as the models have them."""
    overlaps: list[tuple[int, int, int, float]] = []
    response: dict[int, float] = {}
    for group in groups + [[one] for one in placebos]:
        numbers = [one.collaboration.number for one in group]
        matrix, both = overlap(log, group), heard_both(log, group)
        for j, this in enumerate(numbers):
            response[this] = matrix[j, j] if len(group[j].exposed.key) else 0.0
            overlaps += [
                (this, other, both[j, i], matrix[j, i])
                for i, other in enumerate(numbers)
                if i != j and (both[j, i] or matrix[j, i])
            ]
    everyone = [one for group in groups for one in group] + placebos
    rates = [row for one in everyone for row in rates_of(one)]
    totals = [
        (
            one.collaboration.number,
            one.reached,
            one.exposed.known,
            len(one.exposed.key),
            response[one.collaboration.number],
            FULL_RESPONSE,
            one.placebo_episodes,
            one.has_history,
            1.0,
            log.as_of,
            True,
        )
        for one in everyone
    ]
    return Frames(
        pl.DataFrame(rates, RATES, orient="row"),
        pl.DataFrame(totals, TOTALS, orient="row"),
        pl.DataFrame(overlaps, OVERLAPS, orient="row"),
        pl.DataFrame(
            [target_of(one, one in placebos, log) for one in everyone],
            TARGETS,
            orient="row",
        ),
        pl.DataFrame([(0.88, None, "assumed", 0)], LINKABILITY, orient="row"),
    )


def target_of(one: Measured, is_placebo: bool, log: EventLog) -> tuple[object, ...]:
    c = one.collaboration
    ends = c.t0 + log.settings.exposure
    return c.number, c.show, c.partner, c.t0, one.first, ends, ends + log.settings.follow_up, is_placebo


def rates_of(one: Measured) -> list[tuple[object, ...]]:
    cohorts = [(Cohort.EXPOSED, 0, one.exposed), (Cohort.CONTEMPORANEOUS, 0, one.pool)]
    for episode, (own, beside) in one.placebos.items():
        cohorts += [(Cohort.PLACEBO, episode, own), (Cohort.HISTORY, episode, beside)]
    rows: list[tuple[object, ...]] = []
    is_counted = False
    for name, episode, cohort in cohorts:
        counts = zip(
            cohort.counts.tolist(), cohort.person_time.tolist(), cohort.converts.tolist(), strict=True
        )
        for stratum, (keys, followed, converts) in enumerate(counts):
            # Of placebo episodes the distinct keys are told once, in any stratum.
            converting = int(converts) if name is not Cohort.PLACEBO else 0
            if name is Cohort.PLACEBO and not is_counted:
                converting, is_counted = one.placebo_keys, True
            numbers = (keys, followed, int(converts), converting)
            rows.append((one.collaboration.number, name.value, episode, stratum, *numbers))
    return rows


def assert_same(found: Judged) -> None:
    names = {
        "converted": "converted",
        "organic": "organic",
        "theta": "theta",
        "placebo_converts": "placebo_converts",
        "placebo_expected": "placebo_expected",
        "tau": "new_listeners",
        "se": "se",
        "low": "low",
        "high": "high",
        "insufficient": "is_insufficient",
        "pre_trend": "has_pre_trend",
        "concurrent_spike": "has_concurrent_spike",
    }
    assert found.oracle["has_history"].all() and (found.oracle["exposed"] > 0).all()
    for theirs, ours in names.items():
        expected = found.oracle[theirs].rename(ours)
        assert_series_equal(found.column(ours), expected, check_dtypes=False, rel_tol=1e-9)


def test_final_figures_are_the_oracles(world: World) -> None:
    found = judged(world)
    assert found.column("k").unique().len() == 1 and found.column("is_calibrated").all()
    assert found.solution.covariances.height > found.oracle.height  # some of them overlap
    assert_same(found)


def test_collaborations_of_one_show_err_together_as_the_oracles(world: World) -> None:
    found = judged(world)
    wanted = {
        (this.collaboration.number, other.collaboration.number): variance[i, j]
        for group in found.groups
        for variance in [joint_variance(found.log, group)]
        for i, this in enumerate(group)
        for j, other in enumerate(group)
    }
    told = {(this, other): value for this, other, value in found.solution.covariances.iter_rows()}
    assert told.keys() <= wanted.keys() and len(told) > found.oracle.height
    for (this, other), value in wanted.items():
        most = (wanted[this, this] * wanted[other, other]) ** 0.5
        assert told.get((this, other), 0.0) == pytest.approx(value, rel=1e-9, abs=1.1e-6 * most)


def test_figures_before_the_end_are_the_oracles_too(world: World) -> None:
    last = world.collaborations["started_us"].max()
    assert isinstance(last, int)
    as_of_us = last + 12 * DAY * 1_000
    found = judged(world, replace(SETTINGS, as_of_us=as_of_us))
    assert_same(found)
    assert (found.column("forecast") != found.column("new_listeners")).any()
