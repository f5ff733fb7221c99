"""Sweeps in Dagster: which shards are asked for, what the checks say."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from ingest.feeds.crawl import new_state
from ingest.feeds.schedule import overdue
from ingest.feeds.schema import SHARDS, STATE, Tier, shard_of
from ingest.feeds.state import NO_TIME_US, Commit, next_due_of, opened
from ingest.feeds.urls import podcast_key
from ingest.settings import Settings
from orchestration.assets.feeds import tracked_podcasts
from orchestration.feed_checks import CHECKS, deltas_audited, feeds_answer, promises_kept
from orchestration.ingest_location import defs
from orchestration.resources import Installation
from orchestration.sensors.feeds_due import feeds_due_sensor, longest_due
from registry.database import connect
from registry.podcasts import Registration, register
from registry.polling import export_registry, sweep_shards
from tests.ingest.feeds.rows import change_row

HOUR_US = 3600 * 10**6
URL = "https://feeds.example.com/one.xml"


def test_the_part_that_is_due_longest_is_swept_first() -> None:
    assert longest_due({0: 50, 31: 70, 32: 40, 200: 45}, now_us=60, at_a_time=32) == 32
    assert longest_due({0: 50, 31: 70, 32: 40, 200: 45}, now_us=60, at_a_time=256) == 0
    assert longest_due({0: 50, 33: 70}, now_us=60, at_a_time=32) == 0
    assert longest_due({0: 61, 33: NO_TIME_US}, now_us=60, at_a_time=32) is None


def test_a_shard_tells_when_its_first_podcast_is_due_without_its_rows_being_read(tmp_path: Path) -> None:
    with opened(tmp_path, 3) as shard:
        shard.commit(Commit(state=[new_state(3, URL) | {"next_due_us": 9}]))
        shard.commit(Commit(state=[new_state(259, URL) | {"next_due_us": 7}]))
    assert next_due_of(tmp_path, 3) == (2, 7)
    assert next_due_of(tmp_path, 4) == (0, NO_TIME_US)


def test_the_sensor_asks_for_the_shards_of_what_was_registered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARSHOT_DATA", str(tmp_path))
    settings = Settings.from_env()
    with dg.instance_for_test() as instance:

        def tick() -> dg.SensorResult:
            context = dg.build_sensor_context(instance=instance, resources={"installation": Installation()})
            result = feeds_due_sensor(context)
            assert isinstance(result, dg.SensorResult)
            return result

        assert "no podcast is registered" in str(tick().skip_reason)
        register(connect(settings.registry, settings.data), [Registration(url=URL)], 1)
        asked = tick()
        assert asked.run_requests and len(asked.run_requests) == 1
        (config,) = asked.run_requests[0].run_config["ops"].values()
        first, last = config["config"]["first"], config["config"]["last"]
        assert first <= shard_of(podcast_key(URL)) <= last < SHARDS
        sweep_shards(settings, range(first, last + 1), budget_s=5)
        assert "nothing is due before" in str(tick().skip_reason)
        register(connect(settings.registry, settings.data), [Registration(url=f"{URL}?2")], 1)
        assert tick().run_requests


def test_a_run_tells_of_the_shards_it_polled_and_of_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARSHOT_DATA", str(tmp_path))
    settings = Settings.from_env()
    register(connect(settings.registry, settings.data), [Registration(url=URL)], 1)
    shard = f"{shard_of(podcast_key(URL)):03}"
    job = defs.resolve_job_def("sweep_feeds")
    with dg.instance_for_test() as instance:

        def run(**partitions: str) -> list[tuple[str, str | None]]:
            result = job.execute_in_process(instance=instance, tags=partitions)
            kinds = ("ASSET_MATERIALIZATION", "ASSET_OBSERVATION")
            events = [event for event in result.all_events if event.event_type_value in kinds]
            return [(event.event_type_value, event.partition) for event in events]

        assert run() == [("ASSET_MATERIALIZATION", shard), ("ASSET_OBSERVATION", None)]
        assert run() == [("ASSET_OBSERVATION", None)]  # nothing is due
        ends = {"dagster/asset_partition_range_start": "000", "dagster/asset_partition_range_end": "255"}
        assert run(**ends) == [("ASSET_OBSERVATION", None)]
        versions = instance.get_latest_materialization_event(dg.AssetKey("podcast_feeds"))
        assert versions and versions.asset_materialization
        assert versions.asset_materialization.tags["dagster/data_version"] == "1"


def test_the_marts_hear_of_podcasts_only_when_something_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARSHOT_DATA", str(tmp_path))
    settings = Settings.from_env()
    lake = Installation().lake()
    instance = dg.DagsterInstance.ephemeral()

    def look() -> tuple[int, set[str]]:
        """(materialisations, checks that passed)."""
        result = dg.materialize(
            [tracked_podcasts], resources={"installation": Installation()}, instance=instance
        )
        checks = {check.check_name for check in result.get_asset_check_evaluations() if check.passed}
        return len(result.get_asset_materialization_events()), checks

    register(connect(settings.registry, settings.data), [Registration(url=URL)], 1)
    assert look() == (1, set(CHECKS))
    assert look() == (0, set(CHECKS))
    key = podcast_key(URL)
    with opened(lake.root, shard_of(key)) as shard:
        shard.commit(Commit(state=[new_state(key, URL)]))  # polled, and nothing changed
    assert look()[0] == 0
    with opened(lake.root, shard_of(key)) as shard:
        shard.commit(Commit(state=[new_state(key, URL)], changes=[change_row(key, 1)]))
    assert look()[0] == 1
    assert look()[0] == 0
    register(connect(settings.registry, settings.data), [Registration(url=f"{URL}/2")], 1)
    export_registry(settings)  # a run that was killed before it could tell
    assert look()[0] == 1
    assert look()[0] == 0


def state(**said: object) -> pl.DataFrame:
    return pl.DataFrame([new_state(number, URL) | said for number in range(10)], schema=STATE)


def test_a_broken_promise_is_told_by_tier() -> None:
    now_us = 100 * HOUR_US
    late = state(tier=Tier.ACTIVE.value, polled_us=now_us - 2 * HOUR_US, next_due_us=now_us - HOUR_US)
    verdict = promises_kept(late, overdue(late, now_us))
    assert not verdict.passed
    assert "active: 10 of 10 later than 60 min" in verdict.message
    kept = state(tier=Tier.ACTIVE.value, polled_us=now_us - HOUR_US // 2, next_due_us=now_us + HOUR_US // 4)
    assert promises_kept(kept, overdue(kept, now_us)).passed


def test_failing_feeds_are_late_by_right_but_many_of_them_are_told() -> None:
    now_us = 100 * HOUR_US
    failing = state(
        tier=Tier.HOT.value, failures=2, reason="dns", polled_us=now_us - 5 * HOUR_US, next_due_us=now_us - 1
    )
    assert promises_kept(failing, overdue(failing, now_us)).passed
    verdict = feeds_answer(failing, overdue(failing, now_us))
    assert not verdict.passed
    assert verdict.failing.rows() == [("dns", 10)]


def test_a_delta_that_differs_from_the_whole_fails_its_check() -> None:
    assert deltas_audited(state(audits=5), pl.DataFrame()).passed
    assert not deltas_audited(state(audits=5, mismatches=1), pl.DataFrame()).passed
    assert CHECKS["deltas_audited"].severity is dg.AssetCheckSeverity.ERROR
