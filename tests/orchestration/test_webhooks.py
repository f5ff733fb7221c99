"""Webhooks in Dagster: when a run is asked for, what it sends and tells, what the checks say."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from sqlalchemy import Engine

from earshot.made_up.webhooks.endpoints import Behaviour, Endpoint
from earshot.made_up.webhooks.receiver import Receiving, receiving
from ingest.lake import utc_now_us
from orchestration.assets.webhooks import ALL_SHARDS, look, webhooks_job, webhooks_schedule
from orchestration.ingest_location import defs
from orchestration.resources import Installation
from orchestration.sensors.webhooks_due import webhooks_due_sensor
from orchestration.webhook_checks import (
    CHECKS,
    ENDPOINTS,
    endpoints_enabled,
    no_dead_letters,
    webhooks_on_time,
)
from registry.database import connect
from registry.leases import claim
from registry.subscriptions import ENDPOINT_SHARDS
from registry.tables import DeliveryState, endpoint_leases
from serving.webhooks.deliver import SOON_S
from tests.orchestration.conftest import House
from tests.registry.webhook_rows import SECRET, change, delivery, endpoint

S, MIN, HOUR = 1_000_000, 60_000_000, 3_600_000_000


@pytest.fixture
def engine(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setenv("EARSHOT_WEBHOOK_TEST_HOSTS", "127.0.0.1")
    engine = connect(house.settings.registry, house.settings.data)
    yield engine
    engine.dispose()


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiving]:
    with receiving({"ok": Endpoint(secrets=(SECRET,))}, tmp_path) as receiver:
        yield receiver


def waiting(engine: Engine, subscription: int, sequence: int = 1, **given: object) -> int:
    """A change of podcast 7 that waits to be told to the endpoint."""
    data = {
        "podcast": {"guid": "p", "feed_url": "https://example.com/feed.xml", "title": "One"},
        "episode": {"key": "5", "guid": "e", "title": "Two", "enclosure_url": None, "published": None},
        "changes": [{"field": "title", "old": None, "new": "Two"}],
        "is_minor": False,
        "minor_fields": [],
    }
    outbox_id = change(engine, 7, sequence, detected_us=utc_now_us(), data=data)
    values = {"state": DeliveryState.PENDING, "attempts": 0, "created_us": utc_now_us()} | given
    return delivery(engine, subscription, f"evt_{subscription}_{sequence}", [outbox_id], **values)


def tick(instance: dg.DagsterInstance) -> dg.SensorResult:
    context = dg.build_sensor_context(instance=instance, resources={"installation": Installation()})
    result = webhooks_due_sensor(context)
    assert isinstance(result, dg.SensorResult)
    return result


def run(instance: dg.DagsterInstance, tags: dict[str, str] = ALL_SHARDS) -> dg.ExecuteInProcessResult:
    """A run of the job after podcasts were polled; by default as sensor and schedule ask for it."""
    instance.report_runless_asset_event(dg.AssetMaterialization("podcast_feeds", partition="003"))
    return defs.resolve_job_def(webhooks_job.name).execute_in_process(instance=instance, tags=tags)


def events(result: dg.ExecuteInProcessResult) -> list[tuple[str, str | None]]:
    kinds = ("ASSET_MATERIALIZATION", "ASSET_OBSERVATION")
    return [
        (each.event_type_value, each.partition)
        for each in result.all_events
        if each.event_type_value in kinds
    ]


def failed(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """Check → what it said, of those that failed."""
    verdicts = result.get_asset_check_evaluations()
    assert {each.check_name for each in verdicts} == set(CHECKS)
    return {each.check_name: str(each.description) for each in verdicts if not each.passed}


def test_a_run_is_asked_for_when_something_is_due_and_else_it_is_said_why_not(
    engine: Engine, instance: dg.DagsterInstance
) -> None:
    assert "nobody is subscribed" in str(tick(instance).skip_reason)
    subscription = endpoint(engine)
    assert "nothing waits" in str(tick(instance).skip_reason)
    waiting(engine, subscription, due_us=utc_now_us() + HOUR)
    assert "nothing is due before 60.0 min from now" in str(tick(instance).skip_reason)
    waiting(engine, subscription, sequence=2, due_us=utc_now_us())
    (asked,) = tick(instance).run_requests or []
    assert asked.tags.items() >= ALL_SHARDS.items()
    assert asked.tags["dagster/max_retries"] == "0"
    claim(engine, "worker", range(ENDPOINT_SHARDS), 60, utc_now_us(), table=endpoint_leases)
    assert "a sender is at all endpoints" in str(tick(instance).skip_reason)


def test_no_run_is_asked_for_while_one_is_under_way(engine: Engine, instance: dg.DagsterInstance) -> None:
    waiting(engine, endpoint(engine))
    job = defs.resolve_job_def(webhooks_job.name)
    instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    assert tick(instance).skip_reason == dg.SkipReason("a run is under way")


def test_an_endpoint_that_is_paused_is_left_alone_until_its_time(
    engine: Engine, instance: dg.DagsterInstance
) -> None:
    waiting(engine, endpoint(engine, paused_until_us=utc_now_us() + HOUR), due_us=utc_now_us() - MIN)
    assert "nothing is due before 60.0 min from now" in str(tick(instance).skip_reason)


def test_a_digest_goes_out_in_a_run_that_was_asked_for_before_its_time(
    engine: Engine, instance: dg.DagsterInstance, receiver: Receiving
) -> None:
    due_us = utc_now_us() + round(SOON_S / 3 * S)
    waiting(engine, endpoint(engine, url=receiver.url("ok")), due_us=due_us)
    assert tick(instance).run_requests
    assert run(instance).success
    (received,) = receiver.received()
    assert received.at_us >= due_us


def test_a_run_sends_what_is_due_and_tells_of_the_shards_it_sent_for(
    engine: Engine, instance: dg.DagsterInstance, receiver: Receiving
) -> None:
    two = [endpoint(engine, url=receiver.url("ok")) for _ in range(2)]
    for sequence in (1, 2, 3):
        waiting(engine, two[0], sequence)
    result = run(instance)
    assert events(result) == [("ASSET_MATERIALIZATION", f"{two[0]:02}"), ("ASSET_OBSERVATION", None)]
    assert not failed(result)
    received = receiver.received()
    assert sorted(each.events for each in received) == [[[7, 1]], [[7, 2]], [[7, 3]]]
    assert all(each.is_verified for each in received)
    observed = instance.fetch_observations(dg.AssetKey("change_webhooks"), limit=1).records[0]
    metadata = {name: each.value for name, each in observed.asset_observation.metadata.items()}
    figures = {name: metadata[name] for name in ("sent", "failed", "dead", "disabled", "due", "oldest_due_s")}
    assert figures == {"sent": 3, "failed": 0, "dead": 0, "disabled": 0, "due": 0, "oldest_due_s": 0.0}
    assert metadata["endpoints"].count("127.0.0.1") == 2
    assert events(run(instance)) == [("ASSET_OBSERVATION", None)]  # nothing is due: only looked at
    assert len(receiver.received()) == 3


def test_a_run_of_partitions_sends_to_their_endpoints_only(
    engine: Engine, instance: dg.DagsterInstance, receiver: Receiving
) -> None:
    first, second = (endpoint(engine, url=receiver.url("ok")) for _ in range(2))
    for each in (first, second):
        waiting(engine, each, sequence=each)
    key = f"{second:02}"
    assert events(run(instance, {"dagster/partition": key}))[0] == ("ASSET_MATERIALIZATION", key)
    assert [each.events for each in receiver.received()] == [[[7, second]]]


def test_a_gone_endpoint_fails_its_checks_and_only_its_host_is_shown(
    engine: Engine, instance: dg.DagsterInstance, receiver: Receiving
) -> None:
    receiver.become({"t0ken": Endpoint(Behaviour.GONE, (SECRET,))})
    subscription = endpoint(engine, url=receiver.url("t0ken"))
    for sequence in (1, 2):
        waiting(engine, subscription, sequence)
    result = run(instance)
    told = failed(result)
    assert set(told) == {"no_dead_letters", "endpoints_enabled"}
    assert f"subscription {subscription} (since 20" in told["endpoints_enabled"]
    assert "410" in told["endpoints_enabled"]
    assert told["no_dead_letters"].startswith(
        f"2 deliveries were given up in 24 h: subscription {subscription}"
    )
    assert not any("t0ken" in str(each) for each in result.all_events)


def test_the_schedule_runs_the_same_job_so_that_checks_are_judged_where_nothing_is_sent() -> None:
    assert webhooks_schedule.job_name == webhooks_job.name
    asked = webhooks_schedule(dg.build_schedule_context())
    assert isinstance(asked, dg.RunRequest)
    assert asked.tags.items() >= ALL_SHARDS.items()
    assert webhooks_schedule.default_status is dg.DefaultScheduleStatus.RUNNING


# --- checks


def row(**said: object) -> dict[str, object]:
    values: dict[str, object] = dict.fromkeys(ENDPOINTS)
    values |= {"subscription": 3, "host": "example.com", "state": "active"}
    return values | dict.fromkeys(("due", "sent", "failed", "dead", "newly_dead"), 0) | said


def rows(*each: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame(each, ENDPOINTS)


def test_only_an_endpoint_that_takes_its_deliveries_can_be_late() -> None:
    late = {"due": 2, "waits_s": 301.0}
    assert "subscription 3 (2 for 5 min)" in webhooks_on_time(rows(row(**late))).message
    assert webhooks_on_time(rows(row(due=2, waits_s=299.0))).passed
    assert webhooks_on_time(rows(row(state="disabled", **late))).passed
    paused = webhooks_on_time(rows(row(paused_until=datetime(2026, 9, 1), **late)))
    assert paused.passed
    assert "1 that fail" in paused.message


def test_many_dead_letters_are_told_of_the_worst_endpoints_with_the_way_to_send_them_again() -> None:
    assert no_dead_letters(rows(row(dead=9))).passed  # of earlier days
    verdict = no_dead_letters(rows(*(row(subscription=n, newly_dead=n) for n in range(1, 8))))
    assert not verdict.passed
    assert verdict.message.startswith(
        "28 deliveries were given up in 24 h: subscription 7 (7); subscription 6"
    )
    assert "and 2 more" in verdict.message
    assert "earshot replay" in verdict.message


def test_without_endpoints_every_check_passes(house: House, engine: Engine) -> None:
    none = look(house.settings)
    assert none.schema == pl.Schema(ENDPOINTS)
    assert all(check.judge(none).passed for check in CHECKS.values())
    assert endpoints_enabled(rows(row())).passed
