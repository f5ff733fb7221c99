"""Where a backup may lie: others cannot get at it there, nothing is replaced, dead ones are cleared away."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from earshot.backup import making, write
from earshot.backup.making import in_the_making
from earshot.backup.manifest import FILE, BackupError
from earshot.backup.restore import restore
from earshot.backup.write import backup
from ingest import durable
from ingest.settings import Settings
from tests.e2e.backup.conftest import copied, quiet
from tests.e2e.backup.test_backup import killed
from tests.registry.command_line import Earshot

OTHER = 65_534


@pytest.fixture
def other_disk() -> Iterator[Path]:
    """A folder on another file system than the tests'."""
    folder = Path("/dev/shm") / f"earshot-test-{os.getpid()}"
    if not folder.parent.is_dir() or folder.parent.stat().st_dev == Path("/tmp").stat().st_dev:
        pytest.skip("there is no other file system here")
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


def makings(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in folder.glob(".*making*")]


@pytest.mark.parametrize("name", ["saved", "saved.tar"])
def test_on_another_disk_no_one_else_can_open_it_at_any_moment(
    settings: Settings, other_disk: Path, name: str
) -> None:
    seen: list[tuple[int, int]] = []

    def look(step: str, done: int, of: int) -> None:
        for path in makings(other_disk):
            seen.append((path.lstat().st_uid, stat.S_IMODE(path.stat().st_mode)))
            for each in path.rglob("*"):
                assert stat.S_IMODE(each.stat().st_mode) == (0o700 if each.is_dir() else 0o600)

    backup(settings, other_disk / name, look)
    assert set(seen) == {(os.geteuid(), 0o600 if name.endswith(".tar") else 0o700)}
    restore(Settings(), other_disk / name, other_disk / "back", quiet)


def test_a_name_in_the_making_cannot_be_known_before(tmp_path: Path) -> None:
    names = set()
    for _ in range(3):
        with in_the_making(tmp_path / "saved.tar", is_folder=False) as made:
            names.add(made.path.name)
    assert len(names) == 3 and not makings(tmp_path)


@pytest.mark.parametrize("is_folder", [True, False])
def test_what_somebody_else_put_in_its_place_is_not_taken_for_the_backup(
    tmp_path: Path, is_folder: bool
) -> None:
    with (
        pytest.raises(BackupError, match="somebody put something else"),
        in_the_making(tmp_path / "saved", is_folder) as made,
    ):
        made.path.rename(tmp_path / "stolen")
        made.path.mkdir() if is_folder else made.path.touch()
        if is_folder:
            (made.path / FILE).touch()
        made.place(tmp_path / "saved")


@pytest.mark.parametrize("name", ["saved", "saved.tar"])
@pytest.mark.parametrize("knows", [True, False])
def test_what_came_meanwhile_is_not_replaced(
    settings: Settings, tmp_path: Path, name: str, knows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not knows:  # NFS
        monkeypatch.setattr(durable, "_renamed", lambda one, other, how: errno.EINVAL)

    def comes(step: str, done: int, of: int) -> None:
        if name.endswith(".tar"):
            (tmp_path / name).write_text("another's")
        else:
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / "theirs").write_text("another's")

    with pytest.raises(BackupError, match="is there already"):
        backup(settings, tmp_path / name, comes)
    there = tmp_path / name
    assert (there if there.is_file() else there / "theirs").read_text() == "another's"
    assert makings(tmp_path, settings.data) == []


def test_where_no_rename_can_refuse_a_backup_is_placed_all_the_same(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "_renamed", lambda one, other, how: errno.EINVAL)
    for name in ("saved", "saved.tar"):
        backup(settings, tmp_path / name, quiet)
        restore(Settings(), tmp_path / name, tmp_path / f"back of {name}", quiet)


def test_of_two_backups_to_one_name_one_is_made_and_the_other_says_so(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "twin").mkdir()
    twin = copied(settings, tmp_path / "twin")
    for name, houses in (
        ("one.tar", [settings] * 2),
        ("two", [settings, twin]),
        ("three.tar", [settings, twin]),
    ):
        said: list[str] = []

        def run(house: Settings, target: Path, told: list[str]) -> None:
            try:
                backup(house, target, quiet)
                told.append("done")
            except BackupError as error:
                told.append(str(error))

        threads = [threading.Thread(target=run, args=(house, tmp_path / name, said)) for house in houses]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert said.count("done") == 1 and any("is there already" in one for one in said), said
        restore(Settings(), tmp_path / name, tmp_path / f"back of {name}", quiet)


@pytest.mark.parametrize(("name", "step"), [("killed", "files copied"), ("killed.tar", "files written")])
def test_a_later_backup_under_another_name_clears_away_what_a_killed_one_left(
    settings: Settings, other_disk: Path, name: str, step: str
) -> None:
    killed("backup", step, settings.data, other_disk / name)
    (left,) = makings(other_disk)
    assert left.is_file() or (left / FILE).exists()
    with in_the_making(other_disk / "x", is_folder=True) as living:
        (living.path / "file").touch()
        (other_disk / ".somebody.in-the-making").touch()
        backup(settings, other_disk / "next.tar", quiet)
        assert set(makings(other_disk)) == {living.path, other_disk / ".somebody.in-the-making"}


def test_what_was_half_cleared_away_is_cleared_later(tmp_path: Path) -> None:
    left = tmp_path / ".earshot-backup-0123456789abcdef.in-the-making"
    (left / "lake").mkdir(parents=True)
    (left / FILE).touch()
    link = tmp_path / ".earshot-backup-0123456789abcdea.in-the-making"
    link.symlink_to(tmp_path / "precious")
    (tmp_path / "precious").mkdir()
    making.clear_dead(tmp_path)
    assert not left.exists() and link.is_symlink() and (tmp_path / "precious").is_dir()
    left.mkdir()  # killed before anything was in it
    making.clear_dead(tmp_path)
    assert not left.exists()


@pytest.mark.parametrize("name", ["x.tgz", "x.tar.gz", "X.TAR", "x.zip", "x.tar.zst"])
def test_a_name_that_looks_like_a_packed_file_is_no_folder(
    plain: Settings, tmp_path: Path, name: str
) -> None:
    with pytest.raises(BackupError, match=r"name a file \*\.tar"):
        backup(plain, tmp_path / name, quiet)


def test_a_folder_above_that_is_not_there_is_not_made(
    plain: Settings, tmp_path: Path, typed: Earshot
) -> None:
    with pytest.raises(BackupError, match="is its disk mounted"):
        backup(plain, tmp_path / "mnt" / "saved.tar", quiet)
    assert not (tmp_path / "mnt").exists()


def test_a_disk_with_too_little_room_is_named_with_what_is_needed(
    settings: Settings, other_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shutil.disk_usage
    monkeypatch.setattr(write.shutil, "disk_usage", lambda path: real(path)._replace(free=5_000))
    for name in ("saved", "saved.tar"):
        with pytest.raises(
            BackupError, match=f"no room under {other_disk} for {name}: it needs [0-9,]+ bytes, 5,000"
        ):
            backup(settings, other_disk / name, quiet)


@pytest.mark.parametrize("name", ["saved", "saved.tar"])
def test_a_disk_that_becomes_full_is_named_with_what_is_needed(
    settings: Settings, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a file system cannot be mounted here: that needs root")
    try:
        monkeypatch.setattr(write, "_refuse_without_room", lambda paths, target: None)
        with pytest.raises(BackupError, match=f"no room under {disk} for {name}: it needs "):
            backup(settings, disk / name, quiet)
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


READER = """
import os, sys, time
os.setgroups([]); os.setgid(65534); os.setuid(65534)
folder, end = sys.argv[1], time.monotonic() + 20
print("ready", flush=True)
read, kept = 0, {}
while time.monotonic() < end and not os.path.exists(folder + "/done"):
    for where, folders, files in os.walk(folder):
        for name in files:
            path = os.path.join(where, name)
            try:
                with open(path, "rb") as file:
                    read += len(file.read(1))
                print("read", path, flush=True)
            except OSError:
                pass
        for name in folders:
            try:
                os.mkdir(os.path.join(where, name, "mine"))
                print("made", name, flush=True)
            except OSError:
                pass
"""


@pytest.mark.parametrize("name", ["saved", "saved.tar"])
def test_another_account_that_shares_the_folder_reads_and_puts_in_nothing(
    settings: Settings, other_disk: Path, name: str
) -> None:
    if os.geteuid() != 0:
        pytest.skip("another account can only be tried by root")
    other_disk.chmod(0o777)
    with subprocess.Popen(
        [sys.executable, "-c", READER, str(other_disk)], stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout is not None and reader.stdout.readline() == "ready\n"
        backup(settings, other_disk / name, quiet)
        (other_disk / "done").touch()
        got = reader.stdout.read()
    assert [line for line in got.splitlines() if not line.endswith("/done")] == []
