"""What operators see of keys: status, rotation, doctor; and that a restore brings no destroyed one back."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from earshot.backup.restore import restore
from earshot.backup.write import backup
from earshot.cli import app
from earshot.doctor_privacy import privacy
from earshot.finding import Verdict
from ingest.lake import Lake, utc_now_us
from ingest.logs.keyring import DAY_US, EPOCH_US, KeyRing, SecretDestroyed
from ingest.logs.restate import restate_days
from ingest.logs.rules import Rules
from ingest.settings import Settings
from orchestration.maintaining import maintain
from tests.ingest.samples import NOW_US, land, nginx, settings_of, take


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    settings = settings_of(tmp_path / "data")
    monkeypatch.setenv("EARSHOT_DATA", str(settings.data))
    take(settings, land(settings, nginx()), keyring=KeyRing.of(settings))
    return settings


def age(settings: Settings, epoch: int) -> None:
    """As if its secret had been made in its time."""
    at = epoch * EPOCH_US / 1e6
    os.utime(settings.keys_dir / f"epoch-{epoch}.key", (at, at))


def epoch_of(settings: Settings) -> int:
    return int(Lake(settings.lake_dir).requests().collect()["key_epoch"][0])


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["privacy", *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout if "json" in arguments else done.output


def test_status_tells_of_each_epoch_and_rotate_destroys_what_is_due(settings: Settings) -> None:
    today = utc_now_us() // EPOCH_US
    for epoch in (today - 4, today - 2, today - 1, today):
        KeyRing.of(settings).secret(epoch)
        age(settings, epoch)
    made = {each.epoch for each in KeyRing.of(settings).epochs()}
    told = {row["epoch"]: row for row in json.loads(run("status", "--output", "json"))}
    assert set(told) == made
    assert [told[today - n]["state"] for n in (4, 1, 0)] == ["due", "overlap", "in use"]
    said = run("rotate")
    assert f"epoch {today - 4}" in said and "backups made before still hold them" in said
    told = {row["epoch"]: row for row in json.loads(run("status", "--output", "json"))}
    assert told[today - 4]["state"] == "destroyed" and told[today - 4]["destroyed"]
    assert "none was due" in run("rotate")
    assert f"epoch {today}" in run("rotate", "--epoch", str(today))
    with pytest.raises(SecretDestroyed):
        KeyRing.of(settings).secret(today)


def test_doctor_tells_of_keys_past_their_time_or_read_by_others_and_of_old_raw_logs(
    settings: Settings,
) -> None:
    def wrong() -> dict[str, str]:
        return {each.what: each.found for each in privacy(settings) if each.verdict is not Verdict.FINE}

    epoch = epoch_of(settings)
    assert wrong() == {}
    old = utc_now_us() // EPOCH_US - 5
    KeyRing.of(settings).secret(old)
    age(settings, old)
    (settings.keys_dir / f"epoch-{epoch}.key").chmod(0o644)
    os.utime(settings.landing_dir / "cdn" / "a.log", (1, 1))
    told = wrong()
    assert str(old) in told["listener keys"] and "mode 0644" in told[f"key file epoch-{epoch}.key"]
    assert told["raw logs"].startswith("1 landing files are older")
    assert set(told) == {"listener keys", f"key file epoch-{epoch}.key", "raw logs"}


def test_a_restore_brings_no_secret_back_whose_time_is_over_or_that_was_destroyed(
    settings: Settings, tmp_path: Path
) -> None:
    epoch = epoch_of(settings)
    now_epoch = utc_now_us() // EPOCH_US
    for each in (now_epoch - 5, now_epoch):
        KeyRing.of(settings).secret(each)
    age(settings, now_epoch - 5)
    spent = (settings.keys_dir / f"epoch-{now_epoch - 5}.key").read_text()
    KeyRing.of(settings).destroy(epoch - 1, NOW_US, "test")
    # Put back by hand beside its tombstone.
    shutil.copy(settings.keys_dir / f"epoch-{now_epoch}.key", settings.keys_dir / f"epoch-{epoch - 1}.key")
    backup(settings, tmp_path / "b.tar", lambda *step: None)
    done = restore(settings, tmp_path / "b.tar", tmp_path / "new", lambda *step: None)
    assert done.destroyed == sorted([now_epoch - 5, epoch - 1])
    ring = KeyRing(tmp_path / "new" / "keys")
    for gone in done.destroyed:
        with pytest.raises(SecretDestroyed):
            ring.secret(gone)
    assert ring.secret(now_epoch) == KeyRing.of(settings).secret(now_epoch)
    assert not any(spent.encode() in path.read_bytes() for path in (tmp_path / "new").rglob("*.key"))
    assert sorted(path.name for path in (tmp_path / "new" / "keys").glob("*.key")) == sorted(
        f"epoch-{each}.key" for each in (epoch, now_epoch)
    )


def test_a_clock_that_is_ahead_destroys_no_secret_and_is_told_unless_a_person_vouches_for_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, epoch = Lake(settings.lake_dir), epoch_of(settings)
    age(settings, epoch)
    age(settings, epoch - 1)

    def kept(now_us: int) -> tuple[list[str], bool]:
        notes = maintain(settings, lake, now_us, lambda *step: None).notes
        return [note for note in notes if "clock" in note], KeyRing.of(settings).has(epoch)

    assert kept(NOW_US) == ([], True)
    assert (settings.keys_dir / "maintained").stat().st_mode & 0o777 == 0o600
    ahead_us = NOW_US + 90 * DAY_US
    for _ in range(2):  # a doubtful clock never comes to vouch for itself
        [told], is_there = kept(ahead_us)
        assert is_there and "clock says 2026-12-28" in told and "of 2026-09-29" in told
    # Night after night it is right.
    for days in range(7, 91, 7):
        assert kept(NOW_US + days * DAY_US)[0] == []
    assert not KeyRing.of(settings).has(epoch)
    # Off for long, and a person knows the time.
    later = NOW_US // EPOCH_US + 1
    KeyRing.of(settings).secret(later)
    age(settings, later)
    now_us = NOW_US + 300 * DAY_US
    assert len(kept(now_us)[0]) == 1 and KeyRing.of(settings).has(later)
    monkeypatch.setattr("ingest.lake.utc_now_us", lambda: now_us)
    assert "machine's clock says" in next(each.advice for each in privacy(settings))
    assert CliRunner().invoke(app, ["privacy", "rotate"]).exit_code == 0
    assert not KeyRing.of(settings).has(later) and kept(now_us)[0] == []


def test_days_are_restated_from_the_lake_once_their_secret_is_destroyed(settings: Settings) -> None:
    lake, before = Lake(settings.lake_dir), Lake(settings.lake_dir).requests().collect()
    KeyRing.of(settings).destroy(epoch_of(settings), NOW_US, "test")
    report = restate_days(lake.event_days(), settings, lake, Rules.load(settings))
    assert report.from_lake == 1 and report.notes == ["cdn/a.log: the secret of its key epoch is gone"]
    after = lake.requests().collect()
    assert after.drop("rules_version").equals(before.drop("rules_version"))
    assert (after["started_us"][0] + DAY_US) // EPOCH_US >= epoch_of(settings)
