"""Requests, rejects and ledger as assets, on real files."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from orchestration.assets.ingest import intake_config, take_in_logs
from orchestration.constants import BY_HAND_TAG
from orchestration.partitions import hour_key
from tests.orchestration.conftest import House

NOW = hour_key(datetime.now(UTC))


def materialize(
    instance: dg.DagsterInstance, resources: dict[str, object], *names: str, hour: str | None = None
) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [take_in_logs],
        instance=instance,
        resources=resources,
        partition_key=hour or hour_key(datetime.now(UTC)),
        run_config=intake_config(names) if names else None,
        raise_on_error=False,
    )


def metadata(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, object]:
    for event in result.get_asset_materialization_events():
        if event.asset_key == dg.AssetKey(asset):
            return {name: value.value for name, value in event.materialization.metadata.items()}
    raise AssertionError(f"{asset} was not materialised")


def checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {check.check_name: check.passed for check in result.get_asset_check_evaluations()}


def test_pending_files_of_all_sources_are_taken_in_and_counted(
    house: House, instance: dg.DagsterInstance, resources: dict[str, object]
) -> None:
    house.land("a.log", lines=10, bad=2)
    house.land("b.log", lines=5, first=100, source="other")
    result = materialize(instance, resources)
    assert result.success
    assert all(checks(result).values())
    assert len(checks(result)) == 6

    requests = metadata(result, "requests")
    assert requests["dagster/partition_row_count"] == 15
    assert (requests["lines"], requests["rejects"], requests["files"]) == (17, 2, 2)
    assert (
        requests["event_days"]
        == sorted(
            {
                datetime.now(UTC).date().isoformat(),
                (datetime.now(UTC) - timedelta(seconds=61)).date().isoformat(),
            }
        )
        or len(requests["event_days"]) == 1
    )  # type: ignore[arg-type]
    assert metadata(result, "rejects")["dagster/partition_row_count"] == 2
    assert "| edge | a.log | taken | 12 | 10 | 2 |" in str(metadata(result, "files")["preview"])


def test_a_run_without_an_hour_is_refused_with_what_to_do_and_is_no_alert(
    house: House, instance: dg.DagsterInstance, resources: dict[str, object]
) -> None:
    house.land("a.log", lines=1)
    result = dg.materialize([take_in_logs], instance=instance, resources=resources, raise_on_error=False)
    (event,) = result.get_step_failure_events()
    said = str(event.step_failure_data.error)
    assert "choose a partition" in said and "take_in_now" in said
    started = instance.get_run_by_id(result.run_id)
    assert started is not None and BY_HAND_TAG in started.tags, "who started it sees it"
    assert house.lake.ledger().is_empty()


def test_previews_show_no_address_and_no_key(
    house: House, instance: dg.DagsterInstance, resources: dict[str, object]
) -> None:
    house.land("a.log", bad=1)
    result = materialize(instance, resources)
    shown = " ".join(str(metadata(result, asset)) for asset in ("requests", "rejects", "files"))
    assert "203.0.113" not in shown
    assert "_key" not in shown
    assert "/show/0.mp3" not in shown  # nobody's request: how many of which app were judged how
    assert "| 10 |  | Overcast | server_log |" in shown


def test_only_the_named_files_are_taken_in(
    house: House, instance: dg.DagsterInstance, resources: dict[str, object]
) -> None:
    house.land("a.log")
    house.land("b.log", first=100)
    materialize(instance, resources, "edge/b.log")
    assert house.lake.ledger()["file_name"].to_list() == ["b.log"]


def test_a_named_file_that_is_gone_does_not_stop_the_others(
    house: House, instance: dg.DagsterInstance, resources: dict[str, object]
) -> None:
    house.land("a.log")
    assert materialize(instance, resources, "edge/gone.log", "edge/a.log").success
    assert house.lake.ledger()["file_name"].to_list() == ["a.log"]


def test_a_run_with_nothing_to_take_in_succeeds(
    house: House, instance: dg.DagsterInstance, resources: dict[str, object]
) -> None:
    result = materialize(instance, resources)
    assert result.success
    assert metadata(result, "requests")["dagster/partition_row_count"] == 0


def test_a_file_with_too_many_rejects_fails_its_check_and_the_others_still_count(
    house: House, instance: dg.DagsterInstance, resources: dict[str, object]
) -> None:
    house.land("good.log", lines=10)
    house.land("bad.log", lines=20, bad=80, first=100)
    result = materialize(instance, resources)
    assert not result.success
    assert checks(result) == {
        "lines_accounted_for": True,
        "times_in_reason": True,
        "reject_share": False,
        "files_readable": True,
        "volume_drift": True,
        "nothing_held_back": False,
    }
    failed = next(c for c in result.get_asset_check_evaluations() if c.check_name == "reject_share")
    assert failed.blocking
    assert "edge/bad.log has more than 50% rejects and is held back" in str(failed.description)
    assert house.lake.requests().collect().height == 10
    assert dict(house.lake.ledger().select("file_name", "status").iter_rows()) == {
        "good.log": "taken",
        "bad.log": "held",
    }
    assert metadata(result, "requests")["held"] == 1  # so the marts sensor sees the good file


def test_a_file_that_is_no_log_is_told_without_stopping_the_run(
    house: House, instance: dg.DagsterInstance, resources: dict[str, object]
) -> None:
    house.land("good.log")
    (house.settings.landing_dir / "edge" / "empty.log").touch()
    result = materialize(instance, resources)
    assert result.success
    told = next(c for c in result.get_asset_check_evaluations() if c.check_name == "files_readable")
    assert not told.passed
    assert told.severity is dg.AssetCheckSeverity.WARN
    assert "edge/empty.log" in str(told.description)


def test_a_past_hour_takes_its_files_in_once_more_and_changes_nothing(
    house: House,
    instance: dg.DagsterInstance,
    resources: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house.land("a.log")
    before = datetime.now(UTC) - timedelta(hours=3)
    monkeypatch.setattr("orchestration.assets.ingest.utc_now_us", lambda: int(before.timestamp() * 1e6))
    materialize(instance, resources, "edge/a.log", hour=hour_key(before))
    monkeypatch.undo()
    monkeypatch.setenv("EARSHOT_DATA", str(house.settings.data))
    monkeypatch.setenv("EARSHOT_SETTLE_S", "0")
    ledger, requests = house.lake.ledger(), house.lake.requests().collect()

    again = materialize(instance, resources, hour=hour_key(before))
    assert metadata(again, "requests")["dagster/partition_row_count"] == 10
    assert house.lake.ledger().equals(ledger)
    assert house.lake.requests().collect().equals(requests)


def test_a_replaced_file_of_the_same_size_and_time_is_taken_in_when_named(
    house: House, instance: dg.DagsterInstance, resources: dict[str, object]
) -> None:
    path = house.land("a.log", lines=3)
    materialize(instance, resources)
    before = path.stat()
    path.write_text(path.read_text().replace("/show/1.mp3", "/show/9.mp3"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    materialize(instance, resources, "edge/a.log")
    assert house.lake.ledger().height == 2
