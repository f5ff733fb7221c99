"""The solve as dbt runs it, and λ from what apps tell; the models before them are frames of the test."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from attribution.solve import COVARIANCES, LIFTS
from earshot.pipeline import DbtFailed, run_dbt
from ingest.lake import Lake, write_parquet
from ingest.schema import APP_DEVICES, conform
from ingest.settings import Settings
from tests.attribution.frames import DAY_US, START_US, Frames, Target, frames, solved
from tests.dbt.lakes import PROJECT

MODELS = ("int_collaboration_solutions", "int_solution_covariances", "int_linkability")
CHAINS = {"key_epoch": pl.Int32, "address_key": pl.Int64, "canonical_address_key": pl.Int64}
DEVICES = {"device_key": pl.Int64, "is_shared": pl.Boolean}


class Warehouse:
    """The models under test in a project of their own, after stand-ins that read the test's frames."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.settings = Settings(data=root / "data", settle_s=0)
        self.lake = Lake(self.settings.lake_dir)
        self.project, self.inputs = root / "dbt_project", root / "inputs"
        monkeypatch.setenv("EARSHOT_DBT_PROJECT", str(self.project))
        monkeypatch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        shutil.copytree(PROJECT, self.project, ignore=shutil.ignore_patterns("models", "target", "logs"))
        for path in (self.project / "tests").glob("*.sql"):
            path.unlink()
        for name in MODELS:
            for path in (PROJECT / "models").rglob(f"{name}.*"):
                self._take_over(path)
        for path in (PROJECT / "models" / "staging").glob("*app_devices*"):
            self._take_over(path)
        self._take_over(PROJECT / "models" / "staging" / "_sources.yml")
        self.give("int_address_chains", pl.DataFrame(schema=CHAINS))
        self.give("int_device_keys", pl.DataFrame(schema=DEVICES))
        self.give_targets(frames([]))

    def _take_over(self, path: Path) -> None:
        target = self.project / path.relative_to(PROJECT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)

    def give(self, name: str, frame: pl.DataFrame) -> None:
        path = self.inputs / f"{name}.parquet"
        write_parquet(frame, path)
        model = self.project / "models" / "intermediate" / f"{name}.sql"
        model.parent.mkdir(parents=True, exist_ok=True)
        model.write_text(f"select * from read_parquet('{path}')")

    def give_targets(self, given: Frames) -> None:
        self.give("int_cohort_rates", given.rates)
        self.give("int_cohort_totals", given.totals)
        self.give("int_overlaps", given.overlaps)
        self.give("int_collaborations", given.targets)

    def give_plays(self, rows: Sequence[dict[str, Any]]) -> None:
        plays = pl.DataFrame(rows, {name: APP_DEVICES[name] for name in rows[0]})
        path = self.lake.root / "app_devices" / "day=1970-07-20" / "app.parquet"
        write_parquet(conform(plays, APP_DEVICES).collect(), path)

    def build(self) -> None:
        run_dbt(self.settings, ["build", "--quiet"])

    def table(self, name: str) -> pl.DataFrame:
        with duckdb.connect(str(self.settings.warehouse), read_only=True) as con:
            return pl.DataFrame(con.sql(f"select * from intermediate.{name}"))


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    return Warehouse(tmp_path, monkeypatch)


def test_a_fresh_installation_has_no_figures_and_builds(warehouse: Warehouse) -> None:
    warehouse.build()
    assert warehouse.table("int_collaboration_solutions").schema == pl.Schema(LIFTS)
    assert warehouse.table("int_solution_covariances").schema == pl.Schema(COVARIANCES)
    assert warehouse.table("int_linkability").rows() == [(0.88, None, "assumed", 0)]


def test_tables_hold_what_the_solve_returns_and_outlive_a_failed_build(warehouse: Warehouse) -> None:
    given = frames([Target(2), Target(5, exposed=0, converts=0)], [(2, 5, 10.0)])
    warehouse.give_targets(given)
    warehouse.build()
    expected = solved(given)
    assert_frame_equal(warehouse.table("int_collaboration_solutions").sort("target_id"), expected.lifts)
    assert_frame_equal(warehouse.table("int_solution_covariances"), expected.covariances)

    warehouse.give("int_cohort_rates", given.rates.with_columns(stratum=pl.lit(12)))
    with pytest.raises(DbtFailed, match="no such cohort or stratum"):
        warehouse.build()
    assert_frame_equal(warehouse.table("int_collaboration_solutions").sort("target_id"), expected.lifts)


def plays_of(install: int, moves: bool, address: int) -> list[dict[str, Any]]:
    """Plays show b on days 0, 40 and 50 at one address; show a on day 51, elsewhere if it `moves`."""
    at = [
        ("b", 0, address),
        ("b", 40, address),
        ("b", 50, address),
        ("a", 51, -address if moves else address),
    ]
    return [
        {
            "install_key": install,
            "key_epoch": 7,
            "address_key": where,
            "app": "Pods",
            "os": "iOS",
            "show_id": show,
            "started_us": START_US + day * DAY_US,
        }
        for show, day, where in at
    ]


def test_apps_tell_linkability_once_there_are_enough_installations(warehouse: Warehouse) -> None:
    # 50 of 200 play A at another address than that of their exposures; for half of them it is the same
    # address under the key of the next secret. 175 of 200: 0.875 ± sqrt(0.875 · 0.125 / 200).
    plays = [row for install in range(200) for row in plays_of(install, install < 50, 1_000 + install)]
    chains = [(7, -1_000 - install, 1_000 + install) for install in range(25)]
    warehouse.give("int_address_chains", pl.DataFrame(chains, CHAINS, orient="row"))
    warehouse.give_plays([row for row in plays if row["install_key"] > 0])
    warehouse.build()
    assert warehouse.table("int_linkability").rows() == [(0.88, None, "assumed", 199)]
    warehouse.give_plays(plays)
    warehouse.build()
    ((value, se, source, installs),) = warehouse.table("int_linkability").rows()
    assert (value, source, installs) == (pytest.approx(0.875), "app_devices", 200)
    assert se == pytest.approx((0.875 * 0.125 / 200) ** 0.5)
