"""What the looks find in a real installation, and that all is well where all is well."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from ingest.feeds.schema import Tier
from ingest.lake import Lake, utc_now_us
from ingest.logs.intake import find_landing_files, take_in
from ingest.logs.keyring import EPOCH_DAYS, KeyEpoch, KeyRing
from ingest.schema import DAY_US
from ingest.settings import Settings
from registry.database import connect
from registry.tables import SubscriptionState
from serving.alerts import failures
from serving.alerts.alert import Alert, Kind, Severity
from serving.alerts.looks import ITSELF, look
from serving.alerts.rules import key_rotation, marts_behind
from serving.alerts.state import make_folder
from tests.dbt.feed_lakes import polled, set_state
from tests.orchestration.conftest import log_line
from tests.registry.webhook_rows import endpoint
from tests.serving.alerts.installation import MIN, NOW, S


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data", settle_s=0, alert_disk_gb=0)


def found(settings: Settings, now_us: int | None = None) -> list[Alert]:
    """By all looks."""
    by_look = look(settings, {}, utc_now_us() if now_us is None else now_us)
    return [alert for alerts in by_look.values() for alert in alerts]


def land(settings: Settings, name: str, good: int, bad: int) -> None:
    path = settings.landing_dir / "edge" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(log_line(number) for number in range(good)) + "this is no JSON\n" * bad)
    take_in(find_landing_files(settings), settings, Lake(settings.lake_dir))


def test_nothing_is_found_where_there_is_nothing_and_nothing_is_made(settings: Settings) -> None:
    assert found(settings) == []
    assert not settings.data.exists()


def test_a_file_that_does_not_count_is_found_until_it_is_delivered_mended(settings: Settings) -> None:
    land(settings, "a.log", good=5, bad=50)
    (one,) = found(settings)
    assert (one.kind, one.subject, one.severity) == (Kind.REJECTS, "edge", Severity.CRITICAL)
    assert "1 files of source edge do not count, last a.log" in one.wrong
    land(settings, "a.log", good=60, bad=0)
    assert found(settings) == []


def test_a_source_with_many_rejects_is_found_for_a_day_and_one_with_few_is_not(settings: Settings) -> None:
    land(settings, "a.log", good=600, bad=25)  # 4.0 %
    assert found(settings) == []
    land(settings, "b.log", good=100, bad=30)  # 55 of 755: 7.3 %
    (one,) = found(settings)
    assert (one.kind, one.severity) == (Kind.REJECTS, Severity.WARNING)
    assert "55 of 755 lines of source edge" in one.wrong and "7.3%" in one.wrong
    tomorrow = found(settings, utc_now_us() + DAY_US + MIN)
    assert [alert.kind for alert in tomorrow] == [Kind.PROMISE_BROKEN], "nothing was published meanwhile"


def test_files_that_are_not_published_in_time_are_found(settings: Settings) -> None:
    land(settings, "a.log", good=10, bad=0)
    ledger = Lake(settings.lake_dir).ledger()
    taken_us = int(ledger["taken_in_us"][0])
    assert found(settings, taken_us + 30 * MIN) == []
    (one,) = found(settings, taken_us + 31 * MIN)
    assert (one.kind, one.subject, one.amount) == (Kind.PROMISE_BROKEN, "published marts", 31)
    folder = settings.published_dir / "00000001"
    folder.mkdir(parents=True)
    made_at = datetime.fromtimestamp(taken_us / 1e6 + 5, UTC).isoformat(timespec="seconds")
    (folder / "manifest.json").write_text(f'{{"made_at": "{made_at}"}}')
    (settings.published_dir / "current").symlink_to(folder.name)
    assert found(settings, taken_us + 31 * MIN) == []
    assert marts_behind(ledger, taken_us - S, taken_us + 31 * MIN) == marts_behind(
        ledger, None, taken_us + 31 * MIN
    )


def test_a_tier_that_is_late_is_found(settings: Settings) -> None:
    lake, now_us = Lake(settings.lake_dir), utc_now_us()
    long_ago = {"polled_us": now_us - 120 * MIN, "next_due_us": now_us - 60 * MIN, "failures": 0}
    hot = [polled(number, tier=Tier.HOT.value, **long_ago) for number in (1, 2)]
    set_state(lake, [*hot, polled(3, tier=Tier.SLOW.value, **long_ago)])
    (one,) = found(settings, now_us)
    assert (one.kind, one.subject, one.amount) == (Kind.PROMISE_BROKEN, "feeds of tier hot", 2)
    assert "the promised 15 min" in one.wrong


def test_a_disabled_endpoint_is_found_with_its_reason(settings: Settings) -> None:
    engine = connect(None, settings.data)
    endpoint(engine)
    number = endpoint(engine, state=SubscriptionState.DISABLED, reason="it said 410\n\x1b[31mGone")
    engine.dispose()
    (one,) = found(settings)
    assert (one.kind, one.subject) == (Kind.ENDPOINT_DISABLED, f"subscription {number}")
    assert f"`earshot resume {number}`" in one.do
    assert "it said 410 \ufffd[31mGone" in one.wrong


def test_a_registry_that_is_away_is_found_and_all_else_is_looked_at(settings: Settings) -> None:
    away = settings.model_copy(
        update={"registry": "postgresql://earshot:hunter2@127.0.0.1:1/none", "alert_disk_gb": 10**9}
    )
    by_look = look(away, {}, NOW)
    (one,) = by_look[ITSELF]
    assert (one.kind, one.subject, one.severity) == (Kind.CANNOT_LOOK, "endpoints", Severity.CRITICAL)
    assert "hunter2" not in one.wrong
    assert "endpoints" not in by_look
    assert [alert.kind for alert in by_look["disk"]] == [Kind.LOW_DISK]


def test_a_disk_with_little_room_is_found(settings: Settings) -> None:
    (one,) = found(settings.model_copy(update={"alert_disk_gb": 10**9}))
    assert (one.kind, one.subject, one.severity) == (Kind.LOW_DISK, "data folder", Severity.WARNING)


def test_keys_kept_after_their_time_are_found_by_the_age_of_their_files(settings: Settings) -> None:
    keys, now_us = KeyRing(settings.keys_dir), utc_now_us()
    today = now_us // (EPOCH_DAYS * DAY_US)
    for epoch in (today - 5, today):  # one of old logs taken in today is not old itself
        keys.secret(epoch)
    assert found(settings, now_us) == []
    past = (now_us - 100 * DAY_US) / 1e6
    os.utime(settings.keys_dir / f"epoch-{today - 5}.key", (past, past))
    (one,) = found(settings, now_us)
    assert (one.kind, one.subject, one.amount) == (Kind.KEY_ROTATION, "old keys", 1)
    assert f"epoch-{today - 5}.key" in one.wrong


def test_a_rotation_is_due_when_the_epoch_of_the_newest_key_is_over_and_it_is_old() -> None:
    epoch_us = EPOCH_DAYS * DAY_US
    begun = 700 * epoch_us
    former, this = KeyEpoch(699, begun - epoch_us), KeyEpoch(700, begun)
    assert key_rotation([former, this], 14, begun + epoch_us - 1) == []
    assert key_rotation([KeyEpoch(700, begun + DAY_US)], 14, begun + epoch_us + DAY_US) == []
    (one,) = key_rotation([this], 14, begun + epoch_us + DAY_US)
    assert (one.subject, one.amount) == ("newest key", EPOCH_DAYS + 1)


def test_runs_that_failed_are_found_once_each_and_until_one_succeeds(settings: Settings) -> None:
    for run, at_us in (("r1", NOW), ("r2", NOW + MIN), ("r2", NOW + MIN)):
        failures.note(settings.data, "ingest_logs", "edge", run, at_us, ("requests",))
    failures.note(settings.data, "marts", None, "r3", NOW)
    one, other = found(settings, NOW)
    assert (one.kind, one.subject, one.count, one.run_id) == (Kind.RUN_FAILED, "ingest_logs/edge", 2, "r2")
    assert "2 times since it last succeeded (in requests)" in one.wrong
    assert other.subject == "marts"
    assert not failures.succeeded(settings.data, "ingest_logs/edge", NOW + MIN), "not later than the failure"
    assert failures.succeeded(settings.data, "ingest_logs/edge", NOW + 2 * MIN)
    assert [alert.subject for alert in found(settings, NOW)] == ["marts"]


def test_dear_looks_are_made_more_seldom(settings: Settings) -> None:
    looked: dict[str, int] = {}
    assert len(look(settings, looked, NOW)) == 8
    assert set(look(settings, looked, NOW + MIN)) == {ITSELF, "runs", "disk", "endpoints"}
    assert {"files", "prefix"} <= set(look(settings, looked, NOW + 5 * MIN))
    assert "feeds" in look(settings, looked, NOW + 10 * MIN)
    assert "keys" in look(settings, looked, NOW + 60 * MIN)


def test_the_ledger_can_be_read_from_a_day_on(settings: Settings) -> None:
    land(settings, "a.log", good=1, bad=0)
    lake, today = Lake(settings.lake_dir), datetime.now(UTC).date()
    whole = lake.ledger()
    assert whole.height == 1 and whole.equals(lake.ledger(since=today))
    lake.record(whole.with_columns(taken_in_us=pl.lit(NOW - 90 * DAY_US), file_name=pl.lit("old.log")))
    assert lake.ledger().height == 2 and lake.ledger(since=today).height == 1


def test_a_damaged_file_of_the_lake_is_named_and_what_mends_it(settings: Settings) -> None:
    land(settings, "a.log", good=1, bad=0)
    set_state(Lake(settings.lake_dir), [polled(1, tier=Tier.HOT.value)])
    (ledger,) = (settings.lake_dir / "files").glob("*/edge.parquet")
    state, *_ = sorted(settings.lake_dir.glob("catalog/*/state.parquet"))
    for path in (ledger, state):
        path.write_bytes(b"garbage")
    alerts = {each.subject: each for each in look(settings, {}, utc_now_us())[ITSELF]}
    assert str(ledger) in alerts["files"].wrong and "earshot verify --repair" in alerts["files"].do
    assert str(state) in alerts["feeds"].wrong and "earshot verify --repair" in alerts["feeds"].do


def test_damaged_notes_of_failed_runs_are_told_once_and_begun_anew(settings: Settings) -> None:
    path = make_folder(settings.data) / failures.FILE
    for damaged in ('[{"job"', "[" * 100_000, '[{"job": "x", "first_us": "z"}]', "5", None):
        path.mkdir() if damaged is None else path.write_text(damaged)
        (one,) = look(settings, {}, NOW)[ITSELF]
        assert (one.kind, one.subject) == (Kind.CANNOT_LOOK, "runs") and str(path) in one.wrong
        assert look(settings, {}, NOW)[ITSELF] == []
    failures.note(settings.data, "marts", None, "r1", NOW)
    assert [alert.subject for alert in found(settings, NOW)] == ["marts"]


def test_a_check_that_stopped_a_run_is_named_and_nobody_is_sent_to_start_it_again(settings: Settings) -> None:
    failures.note(settings.data, "ingest_logs", "edge", "r1", NOW, (), ("nothing_held_back",))
    (one,) = found(settings, NOW)
    assert "the check nothing_held_back did not pass" in one.wrong
    assert "start it again" not in one.do and "changes nothing" in one.do


def test_without_a_prefix_none_is_looked_for_and_a_dead_one_is_found(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARSHOT_EDGE_LISTEN", "127.0.0.1:1")
    assert found(settings) == []
    (settings.data / "edge" / "conf-1").mkdir(parents=True)
    (settings.data / "edge" / "current").symlink_to("conf-1")
    by_subject = {alert.subject: alert for alert in found(settings)}
    if shutil.which("nginx", path="/usr/sbin:/usr/bin:/bin") is None:
        assert by_subject["nginx"].kind is Kind.PREFIX
        return
    assert {"configuration", "running", "hosts"} <= set(by_subject)
    running = by_subject["running"]
    assert (running.kind, running.severity) == (Kind.PREFIX, Severity.CRITICAL)
    assert "start it: " in running.do and "running: no" in running.wrong
