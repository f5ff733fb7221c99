"""Two platforms on one data folder: the second is told who runs, and a killed one keeps nobody out."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.alone import FILE, AnotherRuns, claim
from tests.faults.forks import KILLED

# As `earshot run`, which forks its servers: a child that outlives it must not hold its place.
FIRST = """
import os, sys, time
from pathlib import Path
from orchestration.alone import claim
claim(Path(sys.argv[1]))
child = os.fork()
if not child:
    time.sleep(60)
print(child, flush=True)
time.sleep(60)
"""


@pytest.fixture
def first(tmp_path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", FIRST, str(tmp_path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_the_second_one_is_refused_with_pid_and_host_and_a_killed_first_one_is_forgotten(
    first: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert first.stdout is not None
    child = int(first.stdout.readline())
    try:
        second = subprocess.run(
            [sys.executable, "-m", "orchestration.servers", "--port", "0"],
            env={**os.environ, "EARSHOT_DATA": str(tmp_path), "DAGSTER_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert second.returncode == 1 and second.stdout == ""
        (said,) = second.stderr.splitlines()
        assert (
            f"a platform runs on {tmp_path} already (pid {first.pid} on {socket.gethostname()}, since" in said
        )
        assert "end that one first" in said and "EARSHOT_DATA" in said
        first.kill()
        assert first.wait(10) == KILLED
        assert (tmp_path / FILE).exists()
        os.kill(child, 0)  # it lives
        claim(tmp_path)
    finally:
        os.kill(child, signal.SIGKILL)  # it has the pipe open
        first.kill()
        first.communicate()


def test_who_asks_in_the_same_moment_is_refused_too(first: subprocess.Popen[str], tmp_path: Path) -> None:
    assert first.stdout is not None
    child = int(first.stdout.readline())
    try:
        (tmp_path / FILE).write_text("")
        with pytest.raises(AnotherRuns, match="it is just starting"):
            claim(tmp_path)
    finally:
        os.kill(child, signal.SIGKILL)  # it has the pipe open
        first.kill()
        first.communicate()


def test_a_folder_that_cannot_be_written_is_told_with_what_to_do(tmp_path: Path) -> None:
    """A file in the place of the folder: an error that root gets, too."""
    (tmp_path / "data").write_text("")
    with pytest.raises(OSError, match=r"start it again: nothing is lost"):
        claim(tmp_path / "data")
