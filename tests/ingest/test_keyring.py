"""The secrets of the listener hash: who may read them, how long they live, and that none comes back."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path

import pytest

from ingest.clock import note_maintained
from ingest.lake import Lake
from ingest.logs import keyring
from ingest.logs.keyring import (
    DAY_US,
    EPOCH_US,
    LISTS_EPOCH,
    KeyRing,
    KeyRingError,
    SecretDestroyed,
    destroy_due,
)
from ingest.settings import Settings
from orchestration.maintaining import maintain
from tests.ingest.samples import land, nginx, rejects_of, settings_of, take

NOW_US = 700 * EPOCH_US
LATE = 14


def made(folder: Path, epoch: int, made_us: int | None = None) -> str:
    secret = KeyRing(folder).secret(epoch)
    at = (epoch * EPOCH_US if made_us is None else made_us) / 1e6
    os.utime(folder / f"epoch-{epoch}.key", (at, at))
    return secret


def due(folder: Path, now_us: int) -> list[int]:
    return [each.epoch for each in destroy_due(KeyRing(folder), now_us, LATE, "test")]


def script(folder: Path, text: str) -> str:
    path = folder / "vault"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return str(path)


def holds(folder: Path, secret: str) -> bool:
    return any(secret.encode() in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_secret_lives_through_its_days_the_overlap_and_the_late_files(tmp_path: Path) -> None:
    secret = made(tmp_path / "keys", 700)
    end_us = 702 * EPOCH_US + LATE * DAY_US
    assert due(tmp_path / "keys", end_us - 1) == [] and holds(tmp_path, secret)
    assert due(tmp_path / "keys", end_us) == [700]
    assert not holds(tmp_path, secret)
    assert due(tmp_path / "keys", end_us) == []


def test_a_secret_of_old_logs_taken_in_today_lives_for_the_days_of_late_files(tmp_path: Path) -> None:
    made(tmp_path / "keys", 600, NOW_US)
    assert due(tmp_path / "keys", NOW_US + LATE * DAY_US - 1) == []
    assert due(tmp_path / "keys", NOW_US + LATE * DAY_US) == [600]


def test_a_destroyed_secret_is_never_made_again(tmp_path: Path) -> None:
    made(tmp_path / "keys", 700)
    ring = KeyRing(tmp_path / "keys")
    assert ring.destroy(700, NOW_US, "test") and not ring.destroy(700, NOW_US + 1, "again")
    for each in (ring, KeyRing(tmp_path / "keys")):
        with pytest.raises(SecretDestroyed, match="key epoch 700 was destroyed"):
            each.secret(700)
        assert not each.has(700) and not each.can_key(700) and not each.can_key(701)
        assert each.can_key(699) and each.can_key(702)
    (told,) = KeyRing(tmp_path / "keys").epochs()
    assert (told.made_us, told.destroyed_us, told.destroyed_by) == (700 * EPOCH_US, NOW_US, "test")
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["epoch-700.destroyed"]


def test_one_that_was_never_made_here_can_be_destroyed_ahead(tmp_path: Path) -> None:
    KeyRing(tmp_path / "keys").destroy(650, NOW_US, "test")
    with pytest.raises(SecretDestroyed):
        KeyRing(tmp_path / "keys").secret(650)


@pytest.mark.parametrize("dies_at", ["sync", "_overwrite"])
def test_a_destruction_that_was_killed_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_at: str
) -> None:
    folder, secret = tmp_path / "keys", made(tmp_path / "keys", 700)

    def die(path: Path) -> None:
        raise OSError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(keyring, dies_at, die)
        with pytest.raises(OSError, match="killed"):
            due(folder, 703 * EPOCH_US)
    with pytest.raises(SecretDestroyed):
        KeyRing(folder).secret(700)
    due(folder, 703 * EPOCH_US)
    assert not holds(folder, secret) and [path.name for path in folder.iterdir()] == ["epoch-700.destroyed"]


def test_a_secret_out_of_a_backup_beside_its_tombstone_is_destroyed_again(tmp_path: Path) -> None:
    folder, secret = tmp_path / "keys", made(tmp_path / "keys", 700)
    kept = (folder / "epoch-700.key").read_bytes()
    due(folder, 703 * EPOCH_US)
    (folder / "epoch-700.key").write_bytes(kept)
    with pytest.raises(SecretDestroyed):
        KeyRing(folder).secret(700)
    assert due(folder, 703 * EPOCH_US) == [700] and not holds(folder, secret)


def test_the_secret_that_hashes_lists_stays(tmp_path: Path) -> None:
    made(tmp_path / "keys", LISTS_EPOCH)
    assert due(tmp_path / "keys", NOW_US) == [] and KeyRing(tmp_path / "keys").has(LISTS_EPOCH)


def test_a_damaged_tombstone_still_is_one(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    KeyRing(folder).destroy(700, NOW_US, "test")
    (folder / "epoch-700.destroyed").write_bytes(b"\x00{")
    with pytest.raises(SecretDestroyed):
        KeyRing(folder).secret(700)
    assert KeyRing(folder).epochs()[0].destroyed_us == 0


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    secret = made(tmp_path / "keys", 700)
    (tmp_path / "keys" / "epoch-700.key").chmod(mode)
    with pytest.raises(KeyRingError, match=r"epoch-700\.key can be read by others.*chmod 600") as caught:
        KeyRing(tmp_path / "keys").secret(700)
    assert secret not in str(caught.value)
    (tmp_path / "keys" / "epoch-700.key").chmod(0o600)
    assert KeyRing(tmp_path / "keys").secret(700) == secret


def test_a_key_file_that_is_lost_is_told_and_no_other_secret_is_made_in_its_place(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    secret, path = made(folder, 700), folder / "epoch-700.key"
    assert KeyRing(folder).lost() == []
    path.rename(tmp_path / "forgotten")
    assert KeyRing(folder).lost() == [700]
    with pytest.raises(
        KeyRingError, match=r"epoch-700\.key is gone.*--files-only.*epoch-700\.print"
    ) as caught:
        KeyRing(folder).secret(700)
    assert not path.exists() and secret not in str(caught.value)

    (tmp_path / "another").mkdir()
    path.write_text(made(tmp_path / "another", 700))
    path.chmod(0o600)
    with pytest.raises(KeyRingError, match="holds another secret"):
        KeyRing(folder).secret(700)
    (tmp_path / "forgotten").rename(path)
    assert KeyRing(folder).secret(700) == secret, "put back, all goes on"

    path.unlink()
    (folder / "epoch-700.print").unlink()
    assert KeyRing(folder).secret(700) != secret, "who says that it is lost for good gets another"
    KeyRing(folder).destroy(700, NOW_US, "test")
    assert KeyRing(folder).lost() == [] and not (folder / "epoch-700.print").exists()


def test_a_command_gives_the_secret_and_it_is_never_on_disk(tmp_path: Path) -> None:
    command = script(tmp_path, 'printf "%064d\\n" "$1"; echo "secret" >&2')
    settings = settings_of(tmp_path / "data", keys_command=command)
    ring = KeyRing.of(settings)
    assert ring.secret(700) == f"{700:064d}" and ring.secret(699) == f"{699:064d}"
    assert ring.has(698) and ring.can_key(700)
    take(settings, land(settings, nginx()), keyring=KeyRing.of(settings))
    rows = Lake(settings.lake_dir).requests().collect()
    assert rows.height == 1
    assert {path.suffix for path in settings.keys_dir.iterdir()} == {".print"}
    for epoch in range(rows["key_epoch"][0] - 1, rows["key_epoch"][0] + 1):
        assert not holds(settings.data, f"{epoch:064d}")
    assert command not in repr(settings)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("exit 7", "failed with exit code 7"),
        ("echo 0123", "something else than 64"),
        ('printf "%064d%064d" 1 2', "something else than 64"),
        ("exec sleep 60", "gave no answer within 0.2 s"),
    ],
)
def test_a_command_that_fails_is_told_without_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, told: str
) -> None:
    monkeypatch.setattr(keyring, "COMMAND_S", 0.2 if "sleep" in text else 10.0)
    ring = KeyRing(tmp_path / "keys", script(tmp_path, text) + " --token hidden")
    with pytest.raises(KeyRingError, match=told) as caught:
        ring.secret(700)
    assert "hidden" not in str(caught.value) and "0123" not in str(caught.value)
    assert "hidden" not in repr(caught.value.__cause__)


def test_a_command_that_changes_its_answer_is_refused_by_every_process(tmp_path: Path) -> None:
    folder, answer = tmp_path / "keys", tmp_path / "answer"
    command = script(tmp_path, f"cat {answer}")
    answer.write_text("ab" * 32)
    assert KeyRing(folder, command).secret(700) == KeyRing(folder, command).secret(700) == "ab" * 32
    path = folder / "epoch-700.print"
    assert len(path.read_bytes()) == 8 and stat.S_IMODE(path.stat().st_mode) == 0o600
    answer.write_text("cd" * 32)
    with pytest.raises(KeyRingError, match="another secret than before") as caught:
        KeyRing(folder, command).secret(700)
    assert "cdcd" not in str(caught.value) and not holds(tmp_path / "keys", "ab" * 32)
    assert KeyRing(folder, command).secret(701) == "cd" * 32
    KeyRing(folder, command).destroy(700, NOW_US, "test")
    assert not path.exists()


def test_a_command_that_floods_or_hangs_is_ended_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "COMMAND_S", 10.0)
    child = f"sleep 300 & echo $! > {tmp_path}/child; "
    with pytest.raises(KeyRingError, match="something else than 64"):
        KeyRing(tmp_path / "keys", script(tmp_path, child + "exec yes 0")).secret(700)
    assert _is_gone(tmp_path / "child")
    (tmp_path / "child").unlink()
    monkeypatch.setattr(keyring, "COMMAND_S", 1.0)
    with pytest.raises(KeyRingError, match="gave no answer within 1 s"):
        KeyRing(tmp_path / "keys", script(tmp_path, child + "wait")).secret(700)
    assert _is_gone(tmp_path / "child")


def _is_gone(told: Path) -> bool:
    """Ended within 5 s, or left as a zombie to whoever reaps here."""
    for _ in range(50):
        try:
            if Path(f"/proc/{int(told.read_text())}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.1)
    return False


def test_a_command_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(KeyRingError, match="cannot be run: No such file"):
        KeyRing(tmp_path / "keys", str(tmp_path / "absent")).secret(700)
    with pytest.raises(KeyRingError, match="cannot be run: its quotes do not match"):
        KeyRing(tmp_path / "keys", "vault 'open").secret(700)


def test_a_command_tells_of_a_destroyed_secret_by_its_exit_code(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path / "keys", script(tmp_path, 'test "$1" -ge 690 || exit 3; printf "%064d" "$1"'))
    assert ring.can_key(691) and not ring.can_key(690) and not ring.has(689)


def test_what_a_command_may_no_longer_be_asked_is_remembered(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path / "keys", script(tmp_path, 'printf "%064d" "$1"'))
    ring.destroy(690, NOW_US, "test")
    with pytest.raises(SecretDestroyed):
        ring.secret(690)
    (one,) = ring.epochs()
    assert (one.epoch, one.made_us, one.destroyed_us) == (690, None, NOW_US)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of(tmp_path)


def first_epoch(settings: Settings) -> int:
    return min(each.epoch for each in KeyRing.of(settings).epochs() if each.epoch != LISTS_EPOCH)


def test_a_line_that_comes_after_its_keys_were_destroyed_is_a_reject_with_that_reason(
    settings: Settings,
) -> None:
    take(settings, land(settings, nginx()), keyring=KeyRing.of(settings))
    rows = Lake(settings.lake_dir).requests().collect()
    epoch = int(rows["key_epoch"][0])
    KeyRing.of(settings).destroy(epoch - 1, NOW_US, "test")
    report = take(settings, land(settings, nginx(id="late"), name="late.log"), keyring=KeyRing.of(settings))
    assert (report.requests, report.rejects) == (0, 1)
    (reason,) = rejects_of(settings)["reason"]
    assert reason == "too late: the keys of its time were destroyed (setting late_days)"
    assert not (settings.keys_dir / f"epoch-{epoch - 1}.key").exists()


def test_a_file_taken_in_again_by_force_after_that_keeps_its_requests(settings: Settings) -> None:
    file = land(settings, nginx())
    take(settings, file, keyring=KeyRing.of(settings))
    before = Lake(settings.lake_dir).requests().collect()
    KeyRing.of(settings).destroy(int(before["key_epoch"][0]), NOW_US, "test")
    report = take(settings, file, keyring=KeyRing.of(settings), force=True)
    assert report.skipped == 1 and report.files.is_empty()
    assert Lake(settings.lake_dir).requests().collect().equals(before)


def test_the_nightly_maintenance_destroys_what_is_due(settings: Settings) -> None:
    take(settings, land(settings, nginx()), keyring=KeyRing.of(settings))
    epoch = first_epoch(settings)
    for each in KeyRing.of(settings).epochs():
        at = each.epoch * EPOCH_US / 1e6
        os.utime(settings.keys_dir / f"epoch-{each.epoch}.key", (at, at))
    now_us = (epoch + 2) * EPOCH_US + settings.late_days * DAY_US
    note_maintained(settings, now_us - 2 * DAY_US)  # as two nights before
    done = maintain(settings, Lake(settings.lake_dir), now_us, lambda *step: None)
    assert done.destroyed == [epoch]
    path = settings.keys_dir / f"epoch-{epoch}.destroyed"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_bytes())["by"] == "maintenance"
