"""The disk full, not writable, or slow: one message, nothing lost, nothing doubled once it is mended."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.forks import run
from tests.faults.points import ON_DISK
from tests.faults.scenario import Scenario
from tests.faults.undisturbed import Undisturbed

DISK_KB = 24 * 1024
FREE_KB = (0, 48)  # more of them in the soak
FULL = ("No space left on device", "database or disk is full", "no room under", "disk I/O error")
SHUT = ("Read-only file system", "readonly database", "read-only", "unable to open database file")


@contextlib.contextmanager
def disk(folder: Path) -> Iterator[Path]:
    """A file system of its own, small enough to be filled."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_KB}k,mode=755", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a file system cannot be mounted here: that needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill_up(folder: Path, free_kb: int) -> Path:
    ballast = folder / "ballast"
    room = os.statvfs(folder)
    with ballast.open("wb") as out:
        left = room.f_bavail * room.f_frsize - free_kb * 1024
        with contextlib.suppress(OSError):
            while left > 0:
                left -= out.write(bytes(min(left, 1 << 16)))
    return ballast


def one_message(said: str, signs: tuple[str, ...]) -> None:
    """What a user sees of a failed command."""
    lines = [line for line in said.splitlines() if line.startswith("error  ")]
    assert len(lines) == 1 and "Traceback" not in said, said
    assert any(sign in lines[0] for sign in signs), lines[0]
    assert "nothing is lost" in lines[0] or "publish again" in lines[0] or "again" in lines[0], lines[0]


def full(scenario: Scenario, was: Undisturbed, folder: Path, free_kb: int) -> bool:
    """The work with so much room, and again with enough; whether the disk was full."""
    with disk(folder) as mounted:
        shutil.copytree(was.start, mounted / "run", symlinks=True)
        data = mounted / "run" / "data"
        with scenario.helpers(data) as told:
            ballast = fill_up(mounted, free_kb)
            stopped = run(scenario, data, told)
            ballast.unlink()
            if stopped.code:
                one_message(stopped.said, FULL)
                scenario.check_killed(data, was.before, was.after)
            again = run(scenario, data, told)
            assert again.code == 0, again.said
        assert scenario.look(data) == was.after
        assert scenario.leftovers(data) == []
    return stopped.code != 0


def read_only(scenario: Scenario, was: Undisturbed, folder: Path) -> None:
    """The work on a file system that was mounted anew for reading, as the kernel does after errors."""
    with disk(folder / "disk") as mounted:
        shutil.copytree(was.start, mounted / "run", symlinks=True)
        data = mounted / "run" / "data"
        with scenario.helpers(data) as told:
            subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)
            stopped = run(scenario, data, told, log=folder)
            subprocess.run(["mount", "-o", "remount,rw", str(mounted)], check=True)
            assert stopped.code != 0
            one_message(stopped.said, SHUT)
            again = run(scenario, data, told)
            assert again.code == 0, again.said
        assert scenario.look(data) == was.after
        assert scenario.leftovers(data) == []


def slow(scenario: Scenario, was: Undisturbed, folder: Path, most_s: float) -> None:
    """The work where each flush takes up to `most_s` seconds longer."""
    shutil.copytree(was.start, folder / "run", symlinks=True)
    data = folder / "run" / "data"
    with scenario.helpers(data) as told:
        done = run(scenario, data, told, slow_s=most_s)
    assert done.code == 0, done.said
    assert scenario.look(data) == was.after


def name(scenario: Scenario) -> str:
    return scenario.name


@pytest.mark.parametrize("scenario", ON_DISK, ids=name)
def test_a_full_disk_stops_it_with_one_message_and_with_room_it_goes_on(
    scenario: Scenario, undisturbed: dict[str, Undisturbed], tmp_path: Path
) -> None:
    was = undisturbed[scenario.name]
    assert [kb for kb in FREE_KB if full(scenario, was, tmp_path / f"disk-{kb}", kb)], "it was never full"


@pytest.mark.parametrize("scenario", ON_DISK, ids=name)
def test_a_disk_that_became_read_only_stops_it_with_one_message(
    scenario: Scenario, undisturbed: dict[str, Undisturbed], tmp_path: Path
) -> None:
    read_only(scenario, undisturbed[scenario.name], tmp_path)


@pytest.mark.parametrize("scenario", ON_DISK[:1], ids=name)
def test_on_a_slow_disk_all_takes_longer_and_is_the_same(
    scenario: Scenario, undisturbed: dict[str, Undisturbed], tmp_path: Path
) -> None:
    slow(scenario, undisturbed[scenario.name], tmp_path, most_s=0.03)
