"""The process of a code location: it keeps a server running and starts runs, as forks of itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestration.constants import RUNS_GIVE_WAY
from orchestration.forks import ask, socket_path

SCRIPT = textwrap.dedent("""
    import os, sys, time
    from pathlib import Path
    from orchestration import forks
    forks.RESPAWN_S = 0.1
    room = Path(sys.argv[1])
    def serve():
        (room / "server").write_text(str(os.getpid()))
        time.sleep(600)
    def execute(arguments):
        try:
            (room / "run").write_text(f"{os.getpid()} {arguments}")
            if arguments == "long":
                time.sleep(600)
        except KeyboardInterrupt:
            (room / "interrupted").touch()
    def died(run):
        (room / "died").write_text(run)
    forks.ForkServer(forks.Location("place", "its.module"), str(room), serve, execute, died).run()
""")


class Room:
    """A running process of a location, and what its children write."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.folder, self.process = folder, process

    def wait(self, what: Callable[[], object]) -> None:
        until = time.monotonic() + 30
        while not what():
            assert time.monotonic() < until
            assert self.process.poll() is None
            time.sleep(0.02)

    def text(self, name: str) -> str:
        path = self.folder / name
        return path.read_text() if path.exists() else ""

    def ask(self, do: str, arguments: str = "") -> object:
        return ask(str(self.folder), "place", {"do": do, "run": "r1", "arguments": arguments})["pid"]


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path)])
    room = Room(tmp_path, process)
    room.wait(lambda: Path(socket_path(str(tmp_path), "place")).exists() and room.text("server"))
    yield room
    process.terminate()  # its runs end with it
    process.wait(30)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_run_is_a_process_of_its_own_with_what_it_was_given(room: Room) -> None:
    pid = room.ask("start", "these arguments")
    room.wait(lambda: room.text("run"))
    assert room.text("run") == f"{pid} these arguments"
    assert pid not in (room.process.pid, int(room.text("server")))


def test_a_run_gives_way_to_what_answers(room: Room) -> None:
    run = room.ask("start", "long")
    assert isinstance(run, int)
    room.wait(lambda: room.text("run"))
    server = os.getpriority(os.PRIO_PROCESS, int(room.text("server")))
    assert os.getpriority(os.PRIO_PROCESS, run) == min(19, server + RUNS_GIVE_WAY)


def test_a_run_can_be_stopped_and_one_that_has_ended_cannot(room: Room) -> None:
    pid = room.ask("start", "long")
    room.wait(lambda: room.text("run"))
    assert room.ask("stop") == pid
    room.wait(lambda: (room.folder / "interrupted").exists())
    room.wait(lambda: room.ask("stop") is None)


def test_a_run_that_is_killed_is_told_and_one_that_ends_well_is_not(room: Room) -> None:
    short = room.ask("start", "short")
    assert isinstance(short, int)
    room.wait(lambda: not alive(short))  # to ask for its stop would interrupt it
    run = room.ask("start", "long")
    assert isinstance(run, int)
    room.wait(lambda: room.text("run").startswith(f"{run} "))
    assert not room.text("died")
    os.kill(run, signal.SIGKILL)
    room.wait(lambda: room.text("died") == "r1")


def test_a_server_that_dies_is_started_again_and_runs_go_on(room: Room) -> None:
    run = room.ask("start", "long")
    first = int(room.text("server"))
    os.kill(first, signal.SIGKILL)
    room.wait(lambda: room.text("server") not in ("", str(first)))
    assert isinstance(run, int) and alive(run)


def test_nobody_is_left_when_it_is_told_to_end(room: Room) -> None:
    run, server = room.ask("start", "long"), int(room.text("server"))
    room.wait(lambda: room.text("run"))
    room.process.send_signal(signal.SIGTERM)
    assert room.process.wait(30) == 0
    assert isinstance(run, int)
    assert not alive(run)
    assert not alive(server)


def test_the_server_does_not_outlive_it_when_it_is_killed(room: Room) -> None:
    server = int(room.text("server"))
    room.process.kill()
    room.process.wait()
    until = time.monotonic() + 30
    while alive(server):
        assert time.monotonic() < until
        time.sleep(0.02)


def test_what_starts_a_thread_is_not_shared(tmp_path: Path) -> None:
    (tmp_path / "threaded.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
    )
    script = "from orchestration.forks import prepare; prepare(['threaded'])"
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "threads have started with threaded" in done.stderr


@pytest.mark.parametrize("location", ["ingest", "marts"])
def test_what_the_locations_share_starts_no_thread(location: str) -> None:
    script = (
        "from orchestration.forks import prepare; from orchestration.servers import DAGSTER, SHARED\n"
        f"prepare([*DAGSTER, *SHARED.get({location!r}, ())])\n"
        "import sys; print([name for name in ('polars', 'dagster_dbt') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (
        0,
        "[]\n" if location == "ingest" else "['dagster_dbt']\n",
    ), done.stderr
