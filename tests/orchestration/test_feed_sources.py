"""Notices and directories in Dagster: when a run is asked for, what it says."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ingest.feeds.sources.settings import FILE
from ingest.feeds.urls import podcast_key
from orchestration.assets.feed_sources import directories_schedule, feed_directories, feed_notices
from orchestration.assets.feeds import podcast_feeds
from orchestration.constants import DIRECTORIES_JOB, NOTICES_JOB
from orchestration.resources import Installation
from orchestration.sensors import feed_notices as sensor_module
from orchestration.sensors.feed_notices import feed_notices_sensor
from registry.database import connected
from registry.hints import pending
from registry.podcasts import Registration, find, register
from tests.ingest.feeds.sources.server import Server, json_page, serving
from tests.orchestration.conftest import House
from tests.orchestration.test_sensors import Ticks, run_of

A = "https://a.example.com/feed.xml"


@pytest.fixture
def notices(house: House, instance: dg.DagsterInstance) -> Ticks:
    declare(house, "[podping]\nsettle_s = 0\n")
    with connected(None, house.settings.data) as engine:
        register(engine, [Registration(A)], 1)
    return Ticks(feed_notices_sensor, instance)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as found:
        yield found


def declare(house: House, text: str) -> None:
    (house.settings.data / FILE).write_text(text)


def drop(house: House, name: str, text: str = json.dumps({"url": A})) -> Path:
    path = house.settings.hints_dir / "podping" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    time.sleep(0.002)  # settled
    return path


def take(instance: dg.DagsterInstance, resources: dict[str, object]) -> dg.ExecuteInProcessResult:
    return dg.materialize([feed_notices], instance=instance, resources=resources)


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.materialization.metadata.items()}


# --- notices


def test_nothing_waiting_costs_no_run(notices: Ticks) -> None:
    requests, reason = notices()
    assert requests == [] and reason.startswith("no notice is waiting in ")


def test_settled_notices_make_one_run_at_a_time(
    house: House, notices: Ticks, instance: dg.DagsterInstance
) -> None:
    drop(house, "1.json")
    drop(house, "2.json")
    assert len(notices()[0]) == 1
    run_of(instance, NOTICES_JOB, dg.DagsterRunStatus.STARTED)
    drop(house, "3.json")
    assert notices() == ([], "notices are being taken in")


def test_a_file_that_is_still_written_and_a_source_that_is_off_wait(house: House, notices: Ticks) -> None:
    drop(house, "1.json")
    declare(house, "[podping]\nsettle_s = 3600\n")
    assert notices()[0] == []
    declare(house, "[podping]\nsettle_s = 0\non = false\n")
    assert notices()[0] == []


def test_what_cannot_be_read_is_asked_for_once_and_again_after_a_failure(
    house: House, notices: Ticks, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(house, "1.json").unlink()
    (house.settings.hints_dir / "podping" / "2.json").symlink_to("/etc/passwd")
    assert len(notices()[0]) == 1
    run_of(instance, NOTICES_JOB, dg.DagsterRunStatus.SUCCESS)
    requests, reason = notices()
    assert requests == [] and "1 file lies in " in reason and "notices_readable" in reason
    failed = run_of(instance, NOTICES_JOB, dg.DagsterRunStatus.STARTED)
    instance.report_run_failed(failed)
    assert notices() == ([], "the last run failed; its notices are asked for again soon")
    monkeypatch.setattr(sensor_module, "NOTICES_RETRY_S", 0)
    assert len(notices()[0]) == 1


def test_a_broken_setting_is_told_and_later_nothing_is_missed(house: House, notices: Ticks) -> None:
    drop(house, "1.json")
    declare(house, "[podpings]\n")
    requests, reason = notices()
    assert requests == [] and reason.startswith(
        "no notice is taken in: feed_sources.toml: there is no source"
    )
    declare(house, "[podping]\nsettle_s = 0\n")
    assert len(notices()[0]) == 1


def test_a_run_takes_the_notices_and_tells_what_it_could_not_use(
    house: House, notices: Ticks, instance: dg.DagsterInstance, resources: dict[str, object]
) -> None:
    drop(house, "1.json")
    result = take(instance, resources)
    assert result.get_asset_check_evaluations()[0].passed
    said = metadata(result)
    assert (said["dagster/row_count"], said["tracked"], said["rejected"]) == (1, 1, 0)
    with connected(None, house.settings.data) as engine:
        assert [hint.podcast_key for hint in pending(engine, range(256))] == [podcast_key(A)]
    drop(house, "2.jsonl", json.dumps({"url": A}) + "\nnot json | at all\n")
    (check,) = take(instance, resources).get_asset_check_evaluations()
    assert not check.passed and check.severity is dg.AssetCheckSeverity.WARN
    assert check.description == "1 of what stood in 1 files could not be used"
    assert "| podping | 2.jsonl | 2 | not_json |" in str(check.metadata["rejects"].value)
    assert notices()[0] == []


# --- directories


@pytest.fixture
def lasting() -> Iterator[dg.DagsterInstance]:
    """A schedule's context takes no other."""
    with dg.instance_for_test() as found:
        yield found


def tick(instance: dg.DagsterInstance) -> dg.RunRequest | dg.SkipReason:
    resources = {"installation": Installation()}
    # Left open, its resources would end in the middle of another test.
    with dg.build_schedule_context(instance=instance, resources=resources) as context:
        found = directories_schedule(context)
    assert isinstance(found, dg.RunRequest | dg.SkipReason)
    return found


def test_without_a_directory_that_is_on_the_schedule_says_how_to_switch_one_on(
    house: House, lasting: dg.DagsterInstance
) -> None:
    found = tick(lasting)
    assert isinstance(found, dg.SkipReason)
    assert "[podcastindex_changes]" in str(found.skip_message) and FILE in str(found.skip_message)
    declare(house, '[podcastindex]\non = true\nkey_env = "NOT_SET_1"\nsecret_env = "NOT_SET_2"\n')
    found = tick(lasting)
    assert isinstance(found, dg.SkipReason) and "key_env" in str(found.skip_message)


def test_the_directories_are_asked_one_run_at_a_time(house: House, lasting: dg.DagsterInstance) -> None:
    declare(house, "[podcastindex_changes]\non = true\n")
    assert isinstance(tick(lasting), dg.RunRequest)
    run_of(lasting, DIRECTORIES_JOB, dg.DagsterRunStatus.STARTED)
    assert isinstance(tick(lasting), dg.SkipReason)


def test_a_run_reads_the_directories_and_tells_what_differs(
    house: House, instance: dg.DagsterInstance, resources: dict[str, object], server: Server
) -> None:
    declare(
        house,
        f'[podcastindex_changes]\non = true\naddress = "{server.url}/current"\n'
        f'[apple]\non = true\naddress = "{server.url}/lookup"\n',
    )
    feeds = [{"feedId": 5, "feedUrl": A}]
    server.pages["/current"] = json_page({"data": {"position": 3, "feeds": feeds}})
    server.pages["/lookup"] = json_page({"results": []})
    with connected(None, house.settings.data) as engine:
        register(engine, [Registration(A, itunes_id=9)], 1)
        said = metadata(dg.materialize([feed_directories], instance=instance, resources=resources))
        (podcast,) = find(engine, A)
    assert (said["tracked"], said["updates"], said["findings"]) == (1, 1, 1)
    assert podcast.podcastindex_id == 5
    assert f"| {podcast_key(A)} | apple | itunes_id | 9 |  | missing |" in said["found"]
    server.pages["/current"] = json_page({"error": True})
    said = metadata(dg.materialize([feed_directories], instance=instance, resources=resources))
    assert "junk: no data with a position in it" in said["sources"]


def test_sweeps_come_after_what_tells_of_changes() -> None:
    assert podcast_feeds.asset_deps[podcast_feeds.key] == {feed_notices.key, feed_directories.key}
