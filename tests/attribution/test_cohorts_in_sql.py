"""The models agree with NumPy cohort by cohort, whatever way the same downloads came."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from bench.attribution_registry import FIRST_ID, episode_id, show_id
from bench.attribution_requests import families, linked_over_epochs, write
from bench.attribution_world import World, WorldSpec, simulate
from ingest.catalog import episode_key
from ingest.lake import Lake
from ingest.logs.rules import Rules
from ingest.settings import Settings as Installation
from tests.attribution.event_log import STRATA, EventLog, Settings
from tests.attribution.numpy_pace import Collaboration, Measured, estimates, measure, overlap
from tests.attribution.worlds import log_of
from tests.dbt.lakes import dbt

RULES = Rules.load(Installation(data=Path("no-such-folder")))
SELECTED = ("--select", "+fct_collaboration_lift", "fct_collaboration_cohorts", "fct_collaboration_daily")
SPEC = WorldSpec(seed=3, people=4_000, shows=18, collaborations=9)


@dataclass(frozen=True)
class Built:
    """A warehouse, and how its figures are asked for."""

    warehouse: Path

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.warehouse), read_only=True) as con:
            return con.execute(sql).fetchall()

    def rates(self) -> list[tuple[Any, ...]]:
        return self.rows(
            "select target_id, cohort, placebo_key, stratum, keys, followed, converts,"
            " converting_keys from intermediate.int_cohort_rates order by all"
        )

    def figures(self) -> list[tuple[Any, ...]]:
        return self.rows(
            "select collaboration_id, state, reach, exposed, converted, organic, theta, estimate,"
            " estimate_low, estimate_high, forecast from marts.fct_collaboration_lift order by all"
        )

    def courses(self) -> list[tuple[Any, ...]]:
        names = ("fct_collaboration_cohorts", "fct_collaboration_daily")
        return [row for name in names for row in self.rows(f"from marts.{name} order by all")]


def days_of(world: World) -> list[date]:
    days = world.events["started_us"].cast(int).unique() // 86_400_000_000
    return sorted({date.fromordinal(date(1970, 1, 1).toordinal() + day) for day in days.unique()})


def build(world: World, folder: Path, *arguments: str, days: Sequence[Sequence[date]] | None = None) -> Built:
    """The world's marts, counted after each of the batches of days."""
    lake = Lake(folder / "lake")
    for batch in days or [days_of(world)]:
        write(world, lake, RULES, days=set(batch))
        dbt(lake, folder / "warehouse.duckdb", "calendar", "run", *SELECTED, *arguments)
    return Built(folder / "warehouse.duckdb")


@pytest.fixture(scope="module")
def world() -> World:
    return simulate(SPEC)


@pytest.fixture(scope="module")
def at_once(world: World, tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(world, tmp_path_factory.mktemp("at-once"))


def oracle(
    world: World, settings: Settings | None = None
) -> tuple[EventLog, Any, dict[int, Collaboration], list[Collaboration]]:
    linked = replace(world, events=linked_over_epochs(world.events))
    log, airings, named = log_of(linked, families=families(world, RULES.agents), settings=settings)
    return log, airings, {one.number + FIRST_ID: one for one in named}, named


def differences(built: Built, world: World, settings: Settings | None = None) -> list[str]:
    """Where a target's counts are not NumPy's: cohort by cohort, stratum by stratum."""
    log, airings, by_id, named = oracle(world, settings)
    shows = {show_id(show): show for show in world.shows["show"]}
    episodes = {
        episode_id(show, number): number
        for number, show in world.episodes.select("episode", "show").iter_rows()
    }
    rates: dict[tuple[int, str, int], dict[int, tuple[Any, ...]]] = {}
    for target, cohort, placebo, stratum, *counts in built.rates():
        rates.setdefault((target, cohort, placebo), {})[stratum] = tuple(counts)
    totals = {
        row[0]: row[1:]
        for row in built.rows(
            "select target_id, reached, known, exposed, placebo_episodes from intermediate.int_cohort_totals"
        )
    }
    targets = built.rows(
        "select target_id, show_id, partner_show_id, episode_id, starts_us"
        " from intermediate.int_collaborations"
    )
    assert set(by_id) <= {target[0] for target in targets}
    found = []
    for target, show, partner, episode, starts_us in targets:
        one = by_id.get(target) or Collaboration(
            target, shows[show], shows[partner], episodes[episode], log.time(starts_us)
        )
        siblings = [other for other in named if other.show == one.show] if target > 0 else [one]
        wanted = measure(log, airings, one, siblings)
        keys = {episode: episode_key_of(world, episode) for episode in wanted.placebos}
        for name, got, want in _compared(wanted, target, keys, rates, totals):
            if got != want:
                found.append(f"{target} {name}: {got}, NumPy says {want}")
    return found


def episode_key_of(world: World, episode: int) -> int:
    show = world.episodes.filter(world.episodes["episode"] == episode)["show"].item()
    return episode_key(show_id(show), episode_id(show, episode))


def _compared(
    wanted: Measured,
    target: int,
    keys: dict[int, int],
    rates: dict[tuple[int, str, int], dict[int, tuple[Any, ...]]],
    totals: dict[int, tuple[Any, ...]],
) -> list[tuple[str, Any, Any]]:
    """(what, as the models have it, as NumPy has it). keys: placebo_key by episode."""
    compared: list[tuple[str, Any, Any]] = []
    cohorts = [("exposed", 0, wanted.exposed), ("contemporaneous", 0, wanted.pool)]
    for episode, (own, beside) in wanted.placebos.items():
        cohorts += [("placebo", keys[episode], own), ("history", keys[episode], beside)]
    for name, placebo, cohort in cohorts:
        rows = rates.get((target, name, placebo), {})
        for stratum in range(STRATA):
            devices, followed, converts, _ = rows.get(stratum, (0, 0.0, 0, 0))
            want = (
                int(cohort.counts[stratum]),
                round(float(cohort.person_time[stratum]), 3),
                int(cohort.converts[stratum]),
            )
            compared.append((f"{name} {placebo} {stratum}", (devices, round(followed, 3), converts), want))
    converting = sum(
        row[3] for key, rows in rates.items() if key[:2] == (target, "placebo") for row in rows.values()
    )
    compared.append(("keys that placebo episodes saw converting", converting, wanted.placebo_keys))
    exposed = wanted.exposed
    counts = (wanted.reached, exposed.known, len(exposed.key), len(wanted.placebos))
    compared.append(("totals", totals[target], counts))
    return compared


def test_every_cohort_is_numpys(at_once: Built, world: World) -> None:
    assert differences(at_once, world) == []


def test_overlaps_are_numpys(at_once: Built, world: World) -> None:
    log, airings, _, named = oracle(world)
    found = {
        (target, other): converted
        for target, other, converted in at_once.rows(
            "select target_id, other_id, converted_by_other"
            " from intermediate.int_overlaps where target_id > 0"
        )
    }
    wanted = {}
    for show in {one.show for one in named}:
        siblings = [one for one in named if one.show == show]
        matrix = overlap(log, [measure(log, airings, one, siblings) for one in siblings])
        for j, this in enumerate(siblings):
            for i, other in enumerate(siblings):
                if i != j and matrix[j, i]:
                    wanted[this.number + FIRST_ID, other.number + FIRST_ID] = matrix[j, i]
    assert wanted and found == pytest.approx(wanted, rel=1e-5)


def test_figures_are_numpys(at_once: Built, world: World) -> None:
    log, airings, _, named = oracle(world)
    wanted = estimates(log, airings, named, k=1.645).filter("has_history")
    found = {row[0] - FIRST_ID: row[1:] for row in at_once.figures()}
    assert wanted.height == len(named)
    for row in wanted.iter_rows(named=True):
        state, reach, exposed, converted, organic, theta, tau, *_ = found[row["collaboration"]]
        assert (state, reach, exposed, converted) == (
            "final",
            row["reached"],
            row["exposed"],
            row["converted"],
        )
        assert (organic, theta, tau) == pytest.approx((row["organic"], row["theta"], row["tau"]), rel=1e-5)


def test_pools_are_of_a_panel(world: World, tmp_path: Path) -> None:
    sizes = (1_500, 600, 300)
    names = ("panel_keys", "placebo_panel_keys", "history_panel_keys")
    wanted = ", ".join(f"{name}: {most}" for name, most in zip(names, sizes, strict=True))
    built = build(world, tmp_path, "--vars", f"{{{wanted}}}")
    tenured = built.rows(
        f"select count(*) from intermediate.int_device_keys where last_us - first_us >= {28 * 86_400_000_000}"
    )[0][0]
    bits = [next(n for n in range(20) if tenured < most * 2 ** (n + 1)) for most in sizes]
    assert 0 < bits[0] < bits[1] < bits[2]
    settings = Settings(panel_bits=bits[0], placebo_panel_bits=bits[1], history_panel_bits=bits[2])
    assert differences(built, world, settings) == []


def test_batches_in_any_order_measure_the_same(at_once: Built, world: World, tmp_path: Path) -> None:
    days = days_of(world)
    # The last days first, as if half of the history came late.
    late = set(random.Random(5).sample(days, len(days) // 2))
    built = build(world, tmp_path, days=[[day for day in days if day not in late], sorted(late)])
    # To the last digit: a sum of doubles would depend on the order of its rows.
    assert built.rates() == at_once.rates()
    assert built.figures() == at_once.figures()
    assert built.courses() == at_once.courses() != []


def test_what_can_be_seen_yet_is_numpys(world: World, tmp_path: Path) -> None:
    """And as the days go on, what was provisional becomes what is measured at once."""
    days = days_of(world)
    starts = world.collaborations["started_us"].sort()
    cut_us = int(starts[len(starts) // 2]) + 20 * 86_400_000_000
    before = [day for day in days if (day - date(1970, 1, 1)).days < cut_us // 86_400_000_000]
    built = build(world, tmp_path, days=[before])
    seen = replace(
        world,
        events=world.events.filter(
            world.events["started_us"] < ((before[-1] - date(1970, 1, 1)).days + 1) * 86_400_000_000
        ),
    )
    as_of_us = int(seen.events["started_us"].max())  # type: ignore[arg-type]
    assert {row[1] for row in built.figures()} >= {"provisional"}
    assert differences(built, seen, Settings(as_of_us=as_of_us)) == []


def test_a_change_of_keys_within_the_windows_changes_less_than_the_error(
    at_once: Built, world: World, tmp_path: Path
) -> None:
    lake = Lake(tmp_path / "lake")
    write(world, lake, RULES, do_keys_rotate=False)
    dbt(lake, tmp_path / "warehouse.duckdb", "calendar", "run", *SELECTED)
    figures = "select collaboration_id, estimate, se from marts.fct_collaboration_lift order by all"
    one_secret = Built(tmp_path / "warehouse.duckdb").rows(figures)
    for (number, rotated, se), (same, steady, _) in zip(at_once.rows(figures), one_secret, strict=True):
        assert number == same and abs(rotated - steady) < se
