"""A process that ends at once has said all it had to say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BEGIN = "import atexit, sys, threading, time\nfrom ingest.process import end_at_once\n"


def ran(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", BEGIN + code], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("code, status", [("0", 0), ("None", 0), ("3", 3)], ids=["0", "none", "3"])
def test_what_was_said_is_written_and_what_is_to_run_at_the_end_runs(code: str, status: int) -> None:
    done = ran(f"atexit.register(print, 'last')\nprint('x' * 100_000)\nend_at_once({code})\nprint('never')")
    assert (done.returncode, done.stdout) == (status, "x" * 100_000 + "\nlast\n")


def test_what_is_at_work_is_waited_for() -> None:
    work = "threading.Thread(target=lambda: (time.sleep(0.3), print('worked'))).start()\n"
    done = ran(work + "end_at_once(0)\nprint('not yet')")
    assert (done.returncode, done.stdout) == (0, "not yet\nworked\n")


def test_a_message_is_left_to_python() -> None:
    done = ran("end_at_once('a reason')\nsys.exit('a reason')")
    assert (done.returncode, done.stderr) == (1, "a reason\n")


def test_what_cannot_be_written_is_an_error_as_ever() -> None:
    code = BEGIN + "print('x')\nend_at_once(0)\nsys.exit(0)"
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True, env=buffered
        )
    assert done.returncode == 120 and "No space left" in done.stderr
