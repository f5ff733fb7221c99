"""The sensors, on real files and a real instance."""

from __future__ import annotations

import importlib
import os
import shutil
import time
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest

from orchestration.assets.ingest import OP
from orchestration.constants import (
    CATALOG_JOB,
    CATALOG_PAUSES_S,
    DEAD_RUN_GRACE_S,
    INGEST_JOB,
    MARTS_JOB,
    SOURCE_TAG,
)
from orchestration.liveness import is_held
from orchestration.partitions import hour_key
from orchestration.resources import Installation
from orchestration.sensors.landing import landing_sensor
from tests.orchestration.conftest import House


class Ticks:
    """Evaluates a sensor again and again, keeping its cursor."""

    def __init__(self, sensor: dg.SensorDefinition, instance: dg.DagsterInstance) -> None:
        self.sensor, self.instance, self.cursor = sensor, instance, None

    def __call__(self) -> tuple[list[dg.RunRequest], str]:
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, resources={"installation": Installation()}
        )
        result: Any = self.sensor(context)
        self.cursor = result.cursor if result.cursor is not None else self.cursor
        return list(result.run_requests or []), result.skip_reason.skip_message if result.skip_reason else ""


@pytest.fixture
def landing(instance: dg.DagsterInstance) -> Ticks:
    return Ticks(landing_sensor, instance)


@pytest.fixture
def marts(house: House, instance: dg.DagsterInstance) -> Ticks:
    # The marts location reads its settings when it is loaded: only here, where they point to a test folder.
    return Ticks(importlib.import_module("orchestration.sensors.marts_due").marts_due_sensor, instance)


@dg.op
def nothing() -> None: ...


def run_of(
    instance: dg.DagsterInstance, job: str, status: dg.DagsterRunStatus, tags: dict[str, str] | None = None
) -> dg.DagsterRun:
    @dg.job(name=job)
    def some_job() -> None:
        nothing()

    return instance.create_run_for_job(some_job, status=status, tags=tags or {})


def materialized(instance: dg.DagsterInstance, asset: str, days: list[str]) -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization(asset, metadata={"event_days": days}))


# --- landing


def test_without_a_landing_folder_it_says_so(house: House, landing: Ticks) -> None:
    house.settings.landing_dir.rmdir()
    requests, reason = landing()
    assert requests == []
    assert reason.startswith("there is no landing folder ")


def test_new_files_make_one_run_a_source_in_the_current_hour(house: House, landing: Ticks) -> None:
    house.land("a.log")
    house.land("b.log", first=100)
    house.land("c.log", first=200, source="other")
    requests, _ = landing()
    assert [request.tags[SOURCE_TAG] for request in requests] == ["edge", "other"]
    assert requests[0].run_config == {
        "ops": {"take_in_logs": {"config": {"files": ["edge/a.log", "edge/b.log"]}}}
    }
    assert requests[0].tags["earshot/files"] == "2"
    assert requests[0].partition_key == hour_key(datetime.now(UTC))
    assert requests[0].run_key and requests[0].run_key.startswith("edge:")


def test_files_of_a_declared_path_are_asked_for_although_nothing_lands(house: House, landing: Ticks) -> None:
    logs = house.settings.data / "incoming"
    house.land("a.log", source="elsewhere").rename(house.settings.data / "a.log")
    logs.mkdir()
    (house.settings.data / "a.log").rename(logs / "a.log")
    shutil.rmtree(house.settings.landing_dir)
    (house.settings.data / "sources.toml").write_text('[cdn]\npath = "incoming/*.log"\n')
    (request,), _ = landing()
    assert request.run_config == {"ops": {"take_in_logs": {"config": {"files": ["cdn/a.log"]}}}}


def test_while_sources_toml_is_broken_the_sensor_says_so_and_later_misses_nothing(
    house: House, landing: Ticks
) -> None:
    house.land("a.log")
    assert len(landing()[0]) == 1
    cursor = landing.cursor
    declared = house.settings.data / "sources.toml"
    declared.write_text('[edge]\nclass = "server_logs"\n')
    house.land("b.log", first=100)
    requests, reason = landing()
    assert requests == [] and landing.cursor == cursor
    assert reason == (
        "nothing is taken in: sources.toml [edge]: class = 'server_logs' cannot be used; "
        "allowed are server_log, prefix"
    )
    declared.write_text('[edge]\nclass = "server_log"\n')
    asked = [name for request in landing()[0] for name in request.run_config["ops"][OP]["config"]["files"]]
    assert "edge/b.log" in asked


def test_a_path_that_is_not_there_is_told(house: House, landing: Ticks) -> None:
    (house.settings.data / "sources.toml").write_text('[cdn]\npath = "/nowhere/at/all"\n')
    assert landing() == ([], "source cdn: /nowhere/at/all does not exist (setting path in sources.toml)")


def test_a_source_with_a_run_under_way_waits(
    house: House, landing: Ticks, instance: dg.DagsterInstance
) -> None:
    run_of(instance, INGEST_JOB, dg.DagsterRunStatus.STARTED, {SOURCE_TAG: "edge"})
    house.land("a.log")
    requests, reason = landing()
    assert requests == []
    assert reason == "1 file of edge wait for its run to end"


def test_a_run_whose_process_is_gone_frees_its_source(
    house: House, landing: Ticks, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(instance, INGEST_JOB, dg.DagsterRunStatus.STARTED, {SOURCE_TAG: "edge"})
    house.land("a.log")
    assert landing()[0] == []
    later = time.time() + DEAD_RUN_GRACE_S + 1
    monkeypatch.setattr("orchestration.liveness.time.time", lambda: later)
    assert len(landing()[0]) == 1
    ended = instance.get_run_by_id(run.run_id)
    assert ended is not None and ended.status is dg.DagsterRunStatus.FAILURE


def test_the_requested_run_takes_the_files_and_the_next_tick_finds_nothing(
    house: House, landing: Ticks, instance: dg.DagsterInstance, resources: dict[str, object]
) -> None:
    from orchestration.assets.ingest import take_in_logs

    house.land("a.log")
    (request,), _ = landing()
    done = dg.materialize(
        [take_in_logs],
        instance=instance,
        resources=resources,
        partition_key=request.partition_key,
        run_config=request.run_config,
    )
    assert done.success
    requests, reason = landing()
    assert requests == []
    assert reason.startswith("no new log files in ")


# --- marts due


def test_without_materialisations_the_marts_are_not_due(marts: Ticks) -> None:
    assert marts() == ([], "nothing new since the last build")


def test_new_requests_make_one_build_with_the_changed_days(
    marts: Ticks, instance: dg.DagsterInstance
) -> None:
    materialized(instance, "requests", ["2026-01-01"])
    materialized(instance, "requests", ["2026-01-03", "2026-01-01"])
    materialized(instance, "catalog_episodes", [])
    (request,), _ = marts()
    assert request.tags["earshot/days"] == "2026-01-01, 2026-01-03"
    assert request.run_key == f"marts:{request.tags['earshot/up_to']}:1:whole"


def test_a_build_under_way_holds_back_the_next(marts: Ticks, instance: dg.DagsterInstance) -> None:
    run_of(instance, MARTS_JOB, dg.DagsterRunStatus.STARTED)
    materialized(instance, "requests", ["2026-01-01"])
    assert marts() == ([], "the marts are being built; 1 changes wait for it")


def ended(instance: dg.DagsterInstance, request: dg.RunRequest, status: dg.DagsterRunStatus) -> None:
    run_of(instance, MARTS_JOB, status, dict(request.tags))


@pytest.fixture
def no_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestration.sensors.marts_plan.MARTS_INTERVAL_S", 0)


@pytest.mark.usefixtures("no_distance")
def test_a_failed_build_is_asked_for_again_and_then_given_up(
    marts: Ticks, instance: dg.DagsterInstance
) -> None:
    materialized(instance, "requests", ["2026-01-01"])
    for attempt in ("1", "2", "3"):
        (request,), _ = marts()
        assert request.tags["earshot/attempt"] == attempt
        ended(instance, request, dg.DagsterRunStatus.FAILURE)
    requests, reason = marts()
    assert requests == []
    assert "failed 3 times" in reason

    run_of(instance, MARTS_JOB, dg.DagsterRunStatus.SUCCESS)  # someone mended it and launched it by hand
    requests, reason = marts()
    assert (requests, reason.split(";")[0]) == ([], "nothing new since the last build")


@pytest.mark.usefixtures("no_distance")
def test_what_arrives_during_a_build_makes_the_next_one(marts: Ticks, instance: dg.DagsterInstance) -> None:
    materialized(instance, "requests", ["2026-01-01"])
    (first,), _ = marts()
    materialized(instance, "requests", ["2026-01-02"])
    ended(instance, first, dg.DagsterRunStatus.SUCCESS)
    (second,), _ = marts()
    assert second.tags["earshot/days"] == "2026-01-02"
    ended(instance, second, dg.DagsterRunStatus.SUCCESS)
    assert (first.tags["earshot/scope"], second.tags["earshot/scope"]) == ("whole", "new")
    requests, reason = marts()
    assert (requests, reason) == (
        [],
        "nothing new since the last build; the whole one waits for a quiet moment",
    )


@pytest.mark.usefixtures("no_distance")
def test_other_collaborations_make_a_whole_build_at_once(marts: Ticks, instance: dg.DagsterInstance) -> None:
    materialized(instance, "requests", ["2026-01-01"])
    (first,), _ = marts()
    ended(instance, first, dg.DagsterRunStatus.SUCCESS)
    materialized(instance, "collaborations", [])
    (second,), _ = marts()
    assert second.tags["earshot/scope"] == "whole" and second.asset_selection is None


@pytest.mark.usefixtures("no_distance")
def test_a_lost_cursor_costs_one_build(marts: Ticks, instance: dg.DagsterInstance) -> None:
    materialized(instance, "requests", ["2026-01-01"])
    (request,), _ = marts()
    ended(instance, request, dg.DagsterRunStatus.SUCCESS)
    marts.cursor = "{unreadable"
    assert len(marts()[0]) == 1


# --- catalogue


@pytest.fixture
def catalog(instance: dg.DagsterInstance, house: House) -> Ticks:
    from orchestration.sensors.catalog import catalog_sensor

    folder = house.settings.landing_dir / "catalog"
    folder.mkdir()
    (folder / "a.csv").write_text("show_id\n")
    return Ticks(catalog_sensor, instance)


def of_catalog(
    instance: dg.DagsterInstance, request: dg.RunRequest, status: dg.DagsterRunStatus
) -> dg.DagsterRun:
    return run_of(instance, CATALOG_JOB, status, dict(request.tags))


def test_a_catalogue_whose_run_was_killed_is_asked_for_again(
    house: House, catalog: Ticks, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    (request,), _ = catalog()
    of_catalog(instance, request, dg.DagsterRunStatus.STARTED)
    assert catalog() == ([], "the catalogue is being taken in; the change waits for that run")
    later = time.time() + DEAD_RUN_GRACE_S + 1
    monkeypatch.setattr("orchestration.liveness.time.time", lambda: later)
    (again,), _ = catalog()
    of_catalog(instance, again, dg.DagsterRunStatus.SUCCESS)
    assert catalog() == ([], "the catalogue has not changed")


def test_a_catalogue_that_cannot_be_read_is_asked_for_ever_later_and_then_left_until_it_changes(
    house: House, catalog: Ticks, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, waits = time.time(), []
    monkeypatch.setattr("orchestration.sensors.catalog.time.time", lambda: now)
    (request,), _ = catalog()
    for _ in CATALOG_PAUSES_S:
        of_catalog(instance, request, dg.DagsterRunStatus.FAILURE)
        waited = 0
        while not (asked := catalog())[0]:
            assert "is asked for again in" in asked[1]
            now, waited = now + 30, waited + 30
        waits.append(waited)
    assert waits == sorted(waits) and 60 <= sum(waits) < 2 * sum(CATALOG_PAUSES_S)
    of_catalog(instance, request, dg.DagsterRunStatus.FAILURE)
    now += 7 * 86_400
    requests, reason = catalog()
    assert requests == [] and reason.startswith("given up after 5 runs, the last ")
    (house.settings.landing_dir / "catalog" / "a.csv").write_text("show_id,mended\n")
    (mended,), _ = catalog()
    of_catalog(instance, mended, dg.DagsterRunStatus.SUCCESS)
    assert catalog() == ([], "the catalogue has not changed")


def test_a_catalogue_that_is_put_back_is_taken_in_again(
    house: House, catalog: Ticks, instance: dg.DagsterInstance
) -> None:
    path = house.settings.landing_dir / "catalog" / "a.csv"
    before, text = path.stat(), path.read_text()
    for content, at_ns in ((text, before.st_mtime_ns), ("show_id,x\n", 5), (text, before.st_mtime_ns)):
        path.write_text(content)
        os.utime(path, ns=(at_ns, at_ns))
        (request,), _ = catalog()
        assert request.run_key is None
        of_catalog(instance, request, dg.DagsterRunStatus.SUCCESS)


def test_a_run_that_takes_the_catalogue_in_shows_that_it_lives(
    house: House, catalog: Ticks, instance: dg.DagsterInstance, resources: dict[str, object]
) -> None:
    from orchestration.assets.catalog import catalog_episodes

    (house.settings.landing_dir / "catalog" / "a.csv").write_text(
        "show_id,show_title,episode_id,episode_title,enclosure_url,file_bytes,duration_s,published_at\n"
    )
    done = dg.materialize([catalog_episodes], instance=instance, resources=resources, raise_on_error=False)
    assert is_held(done.run_id, house.settings)
