"""A process that ends at once has said all it had to say."""

from __future__ import annotations

import os
import signal
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


def test_where_nothing_can_be_said_it_ends_as_well() -> None:
    code = BEGIN + "assert sys.stdout is None\nend_at_once(3)\ntime.sleep(60)"
    closed = f'exec "{sys.executable}" -c "$0" >&-'
    assert subprocess.run(["sh", "-c", closed, code], timeout=30).returncode == 3


ASIDE = """
import shutil, signal, tempfile
from ingest.process import folder_aside
tempfile.tempdir, during, remove = sys.argv[1], sys.argv[2] == "removal", shutil.rmtree
def slowly(*given, **how):
    print("ready", flush=True)
    time.sleep(0.5)
    remove(*given, **how)
if during:
    shutil.rmtree = slowly
with folder_aside("x") as folder:
    if not during:
        print("ready", flush=True)
        time.sleep(60)
time.sleep(60)
"""


@pytest.mark.parametrize("when", ["work", "removal"])
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_who_is_told_to_end_leaves_nothing_aside(tmp_path: Path, sign: signal.Signals, when: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BEGIN + ASIDE, str(tmp_path), when],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        assert len(list(tmp_path.iterdir())) == 1
        process.send_signal(sign)
    interrupted = -signal.SIGINT  # as Python ends
    assert process.returncode == (interrupted if sign is signal.SIGINT else 128 + sign)
    assert not list(tmp_path.iterdir())


def test_in_a_thread_signals_are_left_alone() -> None:
    work = "def work():\n    with folder_aside('x'):\n        print('worked')\n"
    done = ran("from ingest.process import folder_aside\n" + work + "threading.Thread(target=work).start()\n")
    assert (done.returncode, done.stdout) == (0, "worked\n")
