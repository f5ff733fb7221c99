"""`python -m tests.attribution.joint_worlds`: do intervals of sums hold the truth?

Collaborations of one A share listeners, placebo episodes and the devices they are compared with, as they do
in life: who takes up A, and when, is drawn person by person, and every cohort is counted from that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from attribution.solve import Solution, solve
from tests.attribution.frames import DAY_US, FULL_RESPONSE, LINKABILITY, OVERLAPS, RATES, TARGETS, TOTALS

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

FIRST_DAY, LAST_DAY = 160.0, 320.0
EXPOSURE, FOLLOW_UP, LOOK_BACK, RESPONSE = 14.0, 30.0, 60.0, 6.0
PLACEBO_DAYS = FIRST_DAY - np.array([78.0, 71.0, 64.0, 57.0, 50.0])
SINCE_LAST = 3.0  # days between a device's downloads
TENURED, LINKED = 0.9, 0.88  # of those reached in the cohort, of those brought seen under the same key
SCHEMAS = (RATES, TOTALS, OVERLAPS, TARGETS)


@dataclass(frozen=True)
class Case:
    """What a show did. Each repetition is a show of its own."""

    collaborations: int = 4
    every: float = 7.0  # days between their starts
    is_one_partner: bool = True
    audience: int = 2_500  # of each partner
    heard: float = 0.7  # share of the audience that hears an episode
    pool: int = 20_000
    beside_placebos: int = 5_000
    rate: float = 0.02  # of others who take up A in 30 days
    brought: float = 0.0  # of those reached
    has_history: bool = True


class _People:
    """Some people, and who of them takes up A on which days."""

    def __init__(self, rng: np.random.Generator, size: int, rate: float) -> None:
        self.size = size
        taken = rng.poisson(size * rate * LAST_DAY / FOLLOW_UP)
        self.person, self.day = rng.integers(size, size=taken), rng.uniform(0, LAST_DAY, taken)

    def take_up(self, person: npt.NDArray[np.int64], day: Array) -> None:
        self.person, self.day = np.append(self.person, person), np.append(self.day, day)

    def cohort(self, at: Array) -> tuple[Bools, Bools]:
        """Who did not know A when they entered at `at`, NaN: never; and who of them took it up."""
        after = self.day - at[self.person]
        knows, takes = np.zeros(self.size, bool), np.zeros(self.size, bool)
        knows[self.person[(after <= 0) & (after > -LOOK_BACK)]] = True
        takes[self.person[(after > 0) & (after <= FOLLOW_UP)]] = True
        inside = ~knows & ~np.isnan(at)
        return inside, inside & takes


class _Partner:
    """A partner B and its audience, which takes up A more or less readily than others."""

    def __init__(self, case: Case, rng: np.random.Generator, starts: Sequence[float]) -> None:
        self.rng, self.heard = rng, case.heard
        self.people = _People(rng, case.audience, case.rate * rng.gamma(6.0, 1 / 6.0))
        self.is_tenured = rng.random(case.audience) < TENURED
        self.placebo_at = [self._at(day) for day in PLACEBO_DAYS]
        self.at = [self._at(start) for start in starts]
        self.is_brought = np.zeros(case.audience, bool)  # by any episode yet
        self.brought = [self._bring(at, case.brought) for at in self.at]

    def _at(self, start: float) -> Array:
        at = start + _entered(self.rng, self.people.size)
        return np.where(self.rng.random(self.people.size) < self.heard, at, np.nan)

    def _bring(self, at: Array, share: float) -> int:
        """How many an episode brings; in sight are those who take up A under the key that heard it."""
        does_not_know, comes_anyway = self.people.cohort(at)
        can_be = does_not_know & ~comes_anyway & ~self.is_brought
        person = np.flatnonzero(can_be & (self.rng.random(len(at)) < share))
        self.is_brought[person] = True
        after = self.rng.exponential(RESPONSE, len(person))
        in_sight = self.rng.random(len(person)) < LINKED
        self.people.take_up(person[in_sight], (at[person] + after)[in_sight])
        return int((after <= FOLLOW_UP).sum())

    def exposed(self, number: int) -> tuple[Bools, Bools]:
        return self.people.cohort(np.where(self.is_tenured, self.at[number], np.nan))


class _Made:
    """The models' rows."""

    def __init__(self, case: Case, rng: np.random.Generator) -> None:
        self.case, self.rng = case, rng
        self.rates: list[tuple[object, ...]] = []
        self.totals: list[tuple[object, ...]] = []
        self.overlaps: list[tuple[object, ...]] = []
        self.targets: list[tuple[object, ...]] = []

    def show(self, number: int) -> list[int]:
        """One A with all of its collaborations; how many each brought."""
        case, rng, first = self.case, self.rng, number * self.case.collaborations + 1
        starts = [FIRST_DAY + place * case.every for place in range(case.collaborations)]
        by_partner = [starts] if case.is_one_partner else [[start] for start in starts]
        others = _People(rng, case.pool, case.rate)
        is_beside = np.arange(case.pool) < case.beside_placebos
        history = [
            others.cohort(np.where(is_beside, day + _entered(rng, case.pool), np.nan)) for day in PLACEBO_DAYS
        ]
        brought = []
        for place, of_partner in enumerate(by_partner):
            partner = _Partner(case, rng, of_partner)
            targets = range(first + len(brought), first + len(brought) + len(of_partner))
            brought += partner.brought
            for one, target in enumerate(targets):
                exposed, converts = partner.exposed(one)
                self._count(target, "exposed", 0, exposed, converts)
                pool = others.cohort(of_partner[one] + _entered(rng, case.pool))
                self._count(target, "contemporaneous", 0, *pool)
                self._placebos(target, (number * case.collaborations + place) * 10, partner, history)
                self._describe(target, number, place, of_partner[one], partner.at[one], exposed)
                for other, sibling in enumerate(targets):
                    if other != one:
                        self._overlap(target, sibling, exposed, partner.at[one] - partner.at[other])
        return brought

    def _placebos(
        self, target: int, first: int, partner: _Partner, history: Sequence[tuple[Bools, Bools]]
    ) -> None:
        ever = np.zeros(partner.people.size, bool)
        for week, at in enumerate(partner.placebo_at):
            inside, converts = partner.people.cohort(np.where(partner.is_tenured, at, np.nan))
            self._count(target, "placebo", first + week, inside, converts, int((converts & ~ever).sum()))
            self._count(target, "history", first + week, *history[week])
            ever |= converts

    def _count(
        self, target: int, cohort: str, episode: int, keys: Bools, converts: Bools, new: int | None = None
    ) -> None:
        size, taken = int(keys.sum()), int(converts.sum())
        self.rates.append(
            (target, cohort, episode, 4, size, float(size), taken, taken if new is None else new)
        )

    def _describe(
        self, target: int, show: int, partner: int, start: float, at: Array, exposed: Bools
    ) -> None:
        reached, size = int((~np.isnan(at)).sum()), int(exposed.sum())
        known = round(reached * TENURED) - size
        first_us, starts_us = int(FIRST_DAY * DAY_US), int(start * DAY_US)
        ends_us = starts_us + int(EXPOSURE * DAY_US)
        final_us = ends_us + int(FOLLOW_UP * DAY_US)
        counts = (target, reached, max(known, 0), size, size * FULL_RESPONSE, FULL_RESPONSE)
        self.totals.append((*counts, len(PLACEBO_DAYS), self.case.has_history, 1.0, final_us, True))
        self.targets.append((target, show, partner, starts_us, first_us, ends_us, final_us, False))

    def _overlap(self, target: int, sibling: int, exposed: Bools, since: Array) -> None:
        since = since[exposed & ~np.isnan(since)]
        gained = np.maximum(_response(since + FOLLOW_UP) - _response(since), 0)
        self.overlaps.append((target, sibling, len(since), float(gained.sum())))


def sums(case: Case, repetitions: int, seed: int = 1) -> tuple[Solution, Array]:
    """What PACE finds, and how many each collaboration brought, repetitions × collaborations."""
    made = _Made(case, np.random.default_rng(seed))
    truth = np.array([made.show(number) for number in range(repetitions)])
    link = pl.DataFrame([(LINKED, 0.0, "app_devices", 1_000)], LINKABILITY, orient="row")
    frames = zip((made.rates, made.totals, made.overlaps, made.targets), SCHEMAS, strict=True)
    return solve(*(pl.DataFrame(rows, schema, orient="row") for rows, schema in frames), link), truth


def _entered(rng: np.random.Generator, size: int) -> Array:
    """Days from the start of a window to a device's first download in it."""
    return np.minimum(rng.exponential(SINCE_LAST, size), EXPOSURE)


def _response(after: Array) -> Array:
    return np.where(after > 0, 1 - np.exp(-np.maximum(after, 0) / RESPONSE), 0.0)


@dataclass(frozen=True)
class Judged:
    """How far off the sums of a show's collaborations are, and how far they are said to be."""

    bias: float
    sd: float
    se: float  # root of the mean square
    covers: float  # of 90 % intervals
    credited: float  # intervals above 0
    single_covers: float

    @classmethod
    def of(cls, solution: Solution, truth: Array) -> Judged:
        lifts, size = solution.lifts.sort("target_id"), truth.shape[1]
        off = (lifts["new_listeners"].to_numpy().reshape(truth.shape) - truth).sum(1)
        show = (solution.covariances["target_id"].to_numpy() - 1) // size
        variance = np.bincount(show, solution.covariances["covariance"].to_numpy(), len(truth))
        half = lifts["k"][0] * lifts["widening"][0] * np.sqrt(variance)
        each = truth.ravel()
        holds = (lifts["low"].to_numpy() <= each) & (each <= lifts["high"].to_numpy())
        return cls(
            bias=float(off.mean()),
            sd=float(off.std()),
            se=float(np.sqrt(variance.mean())),
            covers=float((np.abs(off) <= half).mean()),
            credited=float((off + truth.sum(1) - half > 0).mean()),
            single_covers=float(holds.mean()),
        )


def main() -> None:
    cases = {
        f"{size} × {who}{what}": Case(size, is_one_partner=is_one, **more)
        for who, is_one in (("one B", True), ("several", False))
        for what, more in (
            ("", {}),
            (", effect", {"brought": 0.03}),
            (", small pool", {"pool": 2_000, "beside_placebos": 1_000}),
            (", no history", {"has_history": False}),
        )
        for size in (1, 2, 4, 8)
    }
    print(f"{'case':26}{'bias':>7}{'sd':>7}{'se':>7}{'covers':>8}{'above 0':>9}{'single covers':>15}")
    for name, case in cases.items():
        one = Judged.of(*sums(case, 500))
        told = f"{name:26}{one.bias:7.1f}{one.sd:7.1f}{one.se:7.1f}"
        print(f"{told}{one.covers:8.1%}{one.credited:9.1%}{one.single_covers:15.1%}", flush=True)


if __name__ == "__main__":
    main()
