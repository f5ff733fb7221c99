"""The daily upkeep of the lake as an asset."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from typer.testing import CliRunner

from earshot.cli import app
from ingest.logs.found import find_landing_files
from ingest.logs.intake import take_in
from orchestration.assets.maintenance import lake_maintenance, maintenance_schedule
from orchestration.constants import WAREHOUSE_POOL
from tests.orchestration.conftest import House, log_line


@pytest.fixture
def full(house: House) -> House:
    """Three files, each with requests of today, of four days ago and of 300."""
    for number in range(3):
        path = house.land(f"{number}.log", lines=2)  # of today: stays as it is
        old = log_line(number, ts=time.time() - 4 * 86_400)
        path.write_text(path.read_text() + old + log_line(number, ts=time.time() - 300 * 86_400))
    take_in(find_landing_files(house.settings), house.settings, house.lake)
    return house


def test_a_run_merges_ended_days_and_says_so(
    full: House, instance: dg.DagsterInstance, resources: dict[str, object]
) -> None:
    result = dg.materialize([lake_maintenance], instance=instance, resources=resources)
    (event,) = result.get_asset_materialization_events()
    found = {name: value.value for name, value in event.materialization.metadata.items()}
    assert (found["files_before"], found["files_after"], found["rows"], found["days"]) == (6, 2, 6, 2)
    assert int(str(found["bytes_before"])) > int(str(found["bytes_after"])) > 0
    day = (datetime.now(UTC) - timedelta(days=4)).date()
    assert f"| {day} | edge | 3 | 1 |" in str(found["merged"])
    # Nobody has counted what is older than keep_days.
    assert found["removed_days"] == 0 and "3 files have requests of more than 210 days ago" in str(
        found["notes"]
    )
    assert len(list((full.lake.root / "requests").glob("*/edge.*.parquet"))) == 5
    again = dg.materialize([lake_maintenance], instance=instance, resources=resources)
    (event,) = again.get_asset_materialization_events()
    assert event.materialization.metadata["files_before"].value == 0


def test_the_command_does_the_same(full: House) -> None:
    done = CliRunner().invoke(app, ["maintain", "--output", "json"])
    assert done.exit_code == 0, done.output
    shown = json.loads(done.stdout)
    assert [(row["source"], row["files_before"], row["files_after"]) for row in shown] == [("edge", 3, 1)] * 2
    assert "merged: 6 files into 2, " in done.stderr
    assert "note: 3 files have requests of more than 210 days ago" in done.stderr
    assert full.lake.requests().collect().height == 12


def test_it_runs_daily_without_being_asked_and_never_beside_a_build() -> None:
    assert lake_maintenance.op.pool == WAREHOUSE_POOL
    assert maintenance_schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert maintenance_schedule.cron_schedule == "30 3 * * *"
