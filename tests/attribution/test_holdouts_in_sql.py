"""Whom dynamic insertion held out is a cohort of its own: counted as NumPy counts it, late logs included."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest

from attribution.parameters import DEFAULTS
from bench.attribution_registry import FIRST_ID
from bench.attribution_requests import families, linked_over_epochs
from bench.attribution_world import World, simulate
from ingest.lake import Lake, write_parquet
from ingest.logs.listeners import epoch_of, mixed
from ingest.schema import INSERTIONS, conform
from tests.attribution.event_log import STRATA, Cohort, EventLog, cohort, family_key
from tests.attribution.numpy_pace import measure
from tests.attribution.test_cohorts_in_sql import RULES, SELECTED, SPEC, Built, build, oracle
from tests.dbt.lakes import dbt

EXPOSURE_US = 14 * 86_400_000_000
# Of eight devices so many are held out. 8 has no effect and no sibling; 0 has two, which hold out nobody.
EIGHTHS = {8: 4, 0: 2}
SIBLINGS = (1, 4)
RATES = (
    "select target_id, cohort, placebo_key, stratum, keys, round(followed, 6), converts, converting_keys"
    " from intermediate.int_cohort_rates"
)
LIFT = "select * from marts.fct_collaboration_lift"


@dataclass(frozen=True)
class Servings:
    """What the insertion server logged of a collaboration, and whom that leaves held out."""

    rows: pl.DataFrame  # INSERTIONS
    device_keys: set[int]  # of those who were never served


def servings(world: World, collaboration: int) -> Servings:
    """One row a download of the exposure. The first device held out was served once, too, by mistake."""
    of = world.collaborations.row(by_predicate=pl.col("collaboration") == collaboration, named=True)
    names = families(world, RULES.agents)
    names = names.with_columns(
        family_key=pl.Series([family_key(*row) for row in names.select("app", "os").iter_rows()])
    )
    rows = (
        world.events.with_columns(
            oldest_key=linked_over_epochs(world.events)["address_key"],
            key_epoch=epoch_of(pl.col("started_us")),
        )
        .filter(
            pl.col("episode") == of["episode"],
            pl.col("started_us").is_between(of["started_us"], of["started_us"] + EXPOSURE_US, closed="left"),
        )
        .join(names, on="family", maintain_order="left")
        .with_columns(
            collaboration_id=pl.lit(collaboration + FIRST_ID),
            device_key=pl.col("oldest_key") ^ pl.col("family_key"),
            address_key=mixed(pl.col("address_key"), pl.col("key_epoch").cast(pl.Int64)),
            address_key_prev=mixed(pl.col("address_key"), pl.col("key_epoch").cast(pl.Int64) - 1),
        )
        .with_columns(is_held_out=mixed(pl.col("device_key")) & 7 < EIGHTHS[collaboration])
    )
    mistaken = rows.filter("is_held_out").head(1)
    served_too = mistaken.with_columns(pl.col("started_us") + 1, is_held_out=pl.lit(False))
    held_out = set(rows.filter("is_held_out")["device_key"]) - set(mistaken["device_key"])
    return Servings(conform(pl.concat([rows, served_too]), INSERTIONS).collect(), held_out)


class ServedLog(EventLog):
    """An event log in which those held out of an episode did not hear it."""

    held_out: dict[int, set[int]]  # device keys by episode

    def heard(self, episode: int, start: int) -> Any:
        rows = super().heard(episode, start)
        keys = self.device_key[self.key[rows]]
        return rows[~np.isin(keys, list(self.held_out.get(episode, set())))]


@dataclass(frozen=True)
class Logged:
    """The warehouse before and after the insertion server's log came."""

    folder: Path
    before: dict[str, list[tuple[Any, ...]]]
    built: Built
    held_out: dict[int, set[int]]  # device keys by collaboration

    def lift(self, collaboration: int) -> dict[str, Any]:
        with duckdb.connect(str(self.built.warehouse), read_only=True) as con:
            found = con.execute(f"{LIFT} where collaboration_id = {collaboration + FIRST_ID}")
            names = [column[0] for column in found.description or []]
            (row,) = found.fetchall()
        return dict(zip(names, row, strict=True))


@pytest.fixture(scope="module")
def world() -> World:
    return simulate(SPEC)


@pytest.fixture(scope="module")
def logged(world: World, tmp_path_factory: pytest.TempPathFactory) -> Logged:
    folder = tmp_path_factory.mktemp("holdouts")
    built = build(world, folder)
    before = {sql: built.rows(sql) for sql in (RATES, LIFT)}
    of = {number: servings(world, number) for number in EIGHTHS}
    path = folder / "lake" / "insertions" / "day=2026-06-30" / "server.parquet"
    write_parquet(pl.concat([one.rows for one in of.values()]), path)
    dbt(Lake(folder / "lake"), folder / "warehouse.duckdb", "calendar", "run", *SELECTED)
    return Logged(folder, before, built, {number: one.device_keys for number, one in of.items()})


def by_stratum(of: Cohort) -> list[tuple[int, int, float, int]]:
    """stratum, keys, followed, converts, where there are any."""
    return [
        (
            stratum,
            int(of.counts[stratum]),
            round(float(of.person_time[stratum]), 3),
            int(of.converts[stratum]),
        )
        for stratum in range(STRATA)
        if of.counts[stratum]
    ]


@pytest.mark.parametrize("collaboration", EIGHTHS)
def test_those_held_out_and_those_exposed_are_numpys(
    logged: Logged, world: World, collaboration: int
) -> None:
    log, airings, by_id, named = oracle(world)
    this = by_id[collaboration + FIRST_ID]
    heard = log.heard(this.episode, this.t0)
    keys = log.device_key[log.key[heard]]
    held_out = heard[np.isin(keys, list(logged.held_out[collaboration]))]
    final = this.t0 + log.settings.exposure + log.settings.follow_up

    log.__class__ = ServedLog
    log.held_out = {by_id[number + FIRST_ID].episode: keys for number, keys in logged.held_out.items()}  # type: ignore[attr-defined]
    wanted = measure(log, airings, this, [one for one in named if one.show == this.show])
    cohorts = {
        "exposed": wanted.exposed,
        "contemporaneous": wanted.pool,
        "held_out": cohort(log, held_out, this.show, final),
    }
    assert cohorts["held_out"].key.size > 20
    for name, of in cohorts.items():
        found = logged.built.rows(
            "select stratum, keys, round(followed, 3), converts from intermediate.int_cohort_rates"
            f" where target_id = {collaboration + FIRST_ID} and cohort = '{name}' order by stratum"
        )
        assert found == by_stratum(of), name
    lift = logged.lift(collaboration)
    assert lift["reach"] == wanted.reached
    assert lift["holdout_keys"] == cohorts["held_out"].key.size
    assert lift["holdout_converted"] == cohorts["held_out"].converted.sum()


def test_without_a_log_of_insertions_there_is_no_holdout(logged: Logged) -> None:
    for collaboration in range(SPEC.collaborations):
        if collaboration not in EIGHTHS:
            found = {name: value for name, value in logged.lift(collaboration).items() if "holdout" in name}
            assert len(found) == 6 and set(found.values()) == {None}


def test_a_log_that_comes_late_concerns_its_collaborations_and_their_siblings_alone(logged: Logged) -> None:
    due = {
        row[0]
        for row in logged.built.rows("select target_id from intermediate.int_collaborations where is_due")
    }
    assert due == {number + FIRST_ID for number in (*EIGHTHS, *SIBLINGS)}
    for sql in (RATES, LIFT):
        before = [row for row in logged.before[sql] if row[0] not in due]
        now = [row for row in logged.built.rows(sql) if row[0] not in due]
        assert before and sorted(before, key=repr) == sorted(now, key=repr)


def test_without_an_effect_the_holdout_contains_none_and_agrees_with_pace(logged: Logged) -> None:
    lift = logged.lift(8)
    assert lift["state"] == "final"
    exposed, held_out = lift["converted"] / lift["exposed"], lift["holdout_converted"] / lift["holdout_keys"]
    people = lift["reach"] * (1 - lift["known_share"]) / lift["linkability"]
    assert lift["holdout_new_listeners"] == pytest.approx((exposed - held_out) * people)
    assert lift["holdout_low"] < 0 < lift["holdout_high"]
    half = DEFAULTS.z * lift["widening"] * lift["holdout_se"]
    assert lift["holdout_high"] - lift["holdout_new_listeners"] == pytest.approx(half)


def test_all_at_once_is_the_same(logged: Logged) -> None:
    found = {sql: sorted(logged.built.rows(sql), key=repr) for sql in (RATES,)}
    figures = logged.built.figures()
    dbt(Lake(logged.folder / "lake"), logged.built.warehouse, "calendar", "run", *SELECTED, "--full-refresh")
    assert {sql: sorted(logged.built.rows(sql), key=repr) for sql in found} == found
    assert logged.built.figures() == figures


def test_a_holdout_that_pace_does_not_agree_with_is_listed(logged: Logged) -> None:
    def check() -> None:
        dbt(
            Lake(logged.folder / "lake"),
            logged.built.warehouse,
            "calendar",
            "test",
            "--warn-error",
            "--select",
            "pace_agrees_with_holdouts",
        )

    check()
    with duckdb.connect(str(logged.built.warehouse)) as con:
        con.execute(
            "update marts.fct_collaboration_lift set new_listeners = estimate, is_insufficient = false,"
            " holdout_new_listeners = estimate + 3.1 * sqrt(se ** 2 + holdout_se ** 2)"
            f" where collaboration_id = {8 + FIRST_ID}"
        )
    with pytest.raises(AssertionError, match="pace_agrees_with_holdouts: Got 1 result"):
        check()
