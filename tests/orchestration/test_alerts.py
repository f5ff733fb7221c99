"""Alerts in Dagster: a run that fails is noted and told, one that succeeds settles it."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import dagster as dg
import pytest

from orchestration.assets.ingest import take_in_logs
from orchestration.constants import DEAD_RUN_GRACE_S, SOURCE_TAG, TRACKED_JOB
from orchestration.partitions import hour_key
from orchestration.resources import Installation
from orchestration.sensors.alerts import alerts_sensor, blocking_checks, run_failures_sensor
from serving.alerts import failures
from serving.alerts import state as states
from serving.alerts.news import SETTLE_US
from serving.alerts.tell import look_and_tell
from tests.orchestration.conftest import House
from tests.serving.alerts.mail import MailServer, mail_server

resources = {"installation": Installation()}
broken = True


@dg.op
def requests() -> None:
    if broken:
        raise RuntimeError("a line with 203.0.113.7 and hunter2")


@dg.job
def ingest_logs() -> None:
    requests()


def run(instance: dg.DagsterInstance, fails: bool, **tags: str) -> dg.ExecuteInProcessResult:
    global broken
    broken = fails
    wanted = {name.replace("_", "/", 1): value for name, value in tags.items()}
    return ingest_logs.execute_in_process(instance=instance, raise_on_error=False, tags=wanted)


def note(instance: dg.DagsterInstance, result: dg.ExecuteInProcessResult) -> None:
    """As the daemon calls the sensor after a run failed."""
    failed = result.dagster_run
    context = dg.build_run_status_sensor_context(
        sensor_name="run_failures_sensor",
        dagster_event=result.filter_events(lambda event: event.event_type_value == "PIPELINE_FAILURE")[0],
        dagster_instance=instance,
        dagster_run=instance.get_run_by_id(failed.run_id) or failed,
        resources=resources,
    ).for_run_failure()
    assert run_failures_sensor(context) is None


def tick(instance: dg.DagsterInstance) -> str:
    context = dg.build_sensor_context(instance=instance, resources=resources)
    said = alerts_sensor(context)
    assert isinstance(said, dg.SkipReason)
    return str(said.skip_message)


def tick_context(instance: dg.DagsterInstance, cursor: str | None) -> dg.SensorEvaluationContext:
    """Of the daemon's own tick, all failed runs of it at once."""
    here = dg.Definitions(jobs=[ingest_logs], sensors=[run_failures_sensor], resources=resources)
    return dg.build_sensor_context(
        instance=instance,
        cursor=cursor,
        repository_def=here.get_repository_def(),
        sensor_name="run_failures_sensor",
        resources=resources,
    )


@pytest.fixture
def told(house: House, monkeypatch: pytest.MonkeyPatch) -> MailServer:  # type: ignore[misc]
    monkeypatch.setenv("EARSHOT_ALERT_DISK_GB", "0")
    monkeypatch.setenv("EARSHOT_ALERT_EMAIL_TO", "team@example.com")
    monkeypatch.setenv("EARSHOT_ALERT_SMTP_HOST", "127.0.0.1")
    monkeypatch.setenv("EARSHOT_ALERT_SMTP_SECURITY", "none")
    monkeypatch.setenv("EARSHOT_DAGSTER_URL", "https://dagster.example.com/")
    with mail_server() as server:
        monkeypatch.setenv("EARSHOT_ALERT_SMTP_PORT", str(server.port))
        yield server


def test_a_failed_run_is_told_once_with_a_link_and_settled_by_one_that_succeeds(
    house: House, told: MailServer, instance: dg.DagsterInstance
) -> None:
    failed = run(instance, fails=True, earshot_source="edge")
    assert failed.dagster_run.tags[SOURCE_TAG] == "edge"
    for _ in range(2):  # the daemon died before it could note that it had called the sensor
        note(instance, failed)
    assert tick(instance) == "1 alert; email was told of 1"
    assert tick(instance) == "1 alert"
    (message,) = told.messages
    text = message.get_content()
    assert "The run ingest_logs of source edge failed (in requests)." in text.replace("\r\n", "\n")
    assert f"https://dagster.example.com/runs/{failed.run_id}" in text
    assert "203.0.113.7" not in text and "hunter2" not in text, "what the error says stays in Dagster"

    run(instance, fails=False, earshot_source="another")
    assert tick(instance) == "1 alert", "another source's success is none of this one"
    run(instance, fails=False, earshot_source="edge")
    assert tick(instance) == "0 alerts"
    settings = Installation().settings()
    (known,) = states.read(settings.data).alerts.values()
    assert known.gone_us is not None
    assert look_and_tell(settings, known.gone_us + SETTLE_US).told == {"email": 1}
    assert "] over: The run ingest_logs of source edge" in told.messages[1]["Subject"]


def test_a_run_that_dagster_makes_again_is_not_told(house: House, instance: dg.DagsterInstance) -> None:
    failed = run(instance, fails=True, dagster_will_retry="true")
    note(instance, failed)
    assert failures.known_failures(house.settings.data) == []


def test_a_run_started_by_hand_that_fails_beside_another_keeps_no_failure_from_being_told(
    house: House, instance: dg.DagsterInstance
) -> None:
    first_tick = run_failures_sensor.evaluate_tick(tick_context(instance, None))
    failed = [
        run(instance, fails=True, earshot_by_hand="yes"),
        run(instance, fails=True, earshot_source="edge"),
    ]
    made = run_failures_sensor.evaluate_tick(tick_context(instance, first_tick.cursor))
    assert {
        reaction.dagster_run.run_id for reaction in made.dagster_run_reactions if reaction.dagster_run
    } == {each.run_id for each in failed}
    assert [each.subject for each in failures.known_failures(house.settings.data)] == ["ingest_logs/edge"]
    again = run_failures_sensor.evaluate_tick(tick_context(instance, made.cursor))
    assert not again.dagster_run_reactions, "the next tick goes on after them"


def test_a_look_without_channels_says_what_it_found_and_a_damaged_note_stops_nothing(
    house: House, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARSHOT_ALERT_DISK_GB", "0")
    assert tick(instance) == "0 alerts"
    (states.folder(house.settings.data) / failures.FILE).write_text("[{")
    assert tick(instance) == "1 alert"
    (known,) = states.read(house.settings.data).alerts.values()
    assert known.wrong.startswith("The look at runs failed")


def test_both_sensors_run_from_the_start() -> None:
    from orchestration.ingest_location import defs

    sensors = {sensor.name: sensor for sensor in defs.get_repository_def().sensor_defs}
    for name in ("run_failures_sensor", "alerts_sensor"):
        assert sensors[name].default_status is dg.DefaultSensorStatus.RUNNING


def test_a_scheduled_run_that_died_gives_its_place_back(
    house: House, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARSHOT_ALERT_DISK_GB", "0")

    @dg.job(name=TRACKED_JOB)
    def look_at_feeds() -> None:
        requests()

    died = instance.create_run_for_job(look_at_feeds, status=dg.DagsterRunStatus.STARTED)
    later = time.time() + DEAD_RUN_GRACE_S + 1
    monkeypatch.setattr("orchestration.liveness.time.time", lambda: later)
    tick(instance)
    ended = instance.get_run_by_id(died.run_id)
    assert ended is not None and ended.status is dg.DagsterRunStatus.FAILURE


def test_a_run_that_a_check_stopped_is_told_by_the_name_of_the_check(
    house: House, told: MailServer, instance: dg.DagsterInstance, resources: dict[str, object]
) -> None:
    house.land("a.log", lines=5, bad=50)
    failed = dg.materialize(
        [take_in_logs],
        instance=instance,
        resources=resources,
        partition_key=hour_key(datetime.now(UTC)),
        tags={SOURCE_TAG: "edge"},
        raise_on_error=False,
    )
    stopped = blocking_checks(instance, failed.run_id)
    assert not failed.success and stopped == ("reject_share",)
    note(instance, failed)
    (known,) = failures.known_failures(house.settings.data)
    assert known.checks == stopped
    tick(instance)
    assert "the check reject_share did not pass" in " ".join(told.messages[0].get_content().split())
