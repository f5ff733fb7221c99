"""A code location's processes, forked from one that has imported what they share and started no thread.

† An ingest run of a tiny file took 4.7 CPU seconds, most of them imports, and takes 1.2 as a fork. Here a
small process imports that once. Of it the code server is forked, and a worker for each run that is asked for
at its socket. It imports neither Polars nor our own code: Polars starts threads, which a fork does not take
along, and code that cannot be imported must fail where Dagster shows it.

Imports Dagster only in the processes that are to have it.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from orchestration.constants import RUNS_GIVE_WAY

FOLDER = (
    "EARSHOT_FORKS"  # of the environment: where the sockets are; without it, runs start as Dagster has it
)
RESPAWN_S = 3.0  # before a server that has ended is started again
_MESSAGE_BYTES = 1 << 20
_PR_SET_PDEATHSIG, _PR_SET_NAME, _M_ARENA_MAX = 1, 15, -8


@dataclass(frozen=True)
class Location:
    """A code location, and what its processes share beside Dagster itself."""

    name: str
    module: str
    shared: tuple[str, ...] = ()


def fork(work: Callable[[], object], with_parent: bool, name: str = "") -> int:
    """Run `work` in a child and end it; returns the child's id. `with_parent`: it ends when we do.

    name: what `ps` and `top` call it, up to 15 characters; by default as its parent.
    """
    us = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        if name:
            ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode()[:15])
        if with_parent:
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != us:
                os._exit(1)
        work()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)  # a child has nothing of its parent's to tidy up


def prepare(modules: Sequence[str]) -> None:
    """Import what the children share, and keep its pages shared."""
    # An arena a core and thread is memory that is never given back; ours allocate little at a time.
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)
    for name in modules:
        with suppress(Exception):  # it fails again, and is told, where it is needed
            importlib.import_module(name)
    if len(list(Path("/proc/self/task").glob("*"))) > 1:
        raise RuntimeError(f"threads have started with {', '.join(modules)}: a fork would not have them")
    gc.collect()
    gc.freeze()


def socket_path(folder: str, location: str) -> str:
    """Where a location's runs are asked for."""
    return f"{folder}/{location}.forks"


def ask(folder: str, location: str, message: Mapping[str, str]) -> dict[str, object]:
    """Send a request to a location's process. Raises OSError when it is not there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking:
        asking.settimeout(30)
        asking.connect(socket_path(folder, location))
        asking.send(json.dumps(message).encode())
        answer: dict[str, object] = json.loads(asking.recv(_MESSAGE_BYTES))
        return answer


class ForkServer:
    """The process of a location: keeps its code server running and starts its runs. One thread, for ever."""

    def __init__(
        self,
        location: Location,
        folder: str,
        serve: Callable[[], object],
        execute: Callable[[str], object],
        died: Callable[[str], object],
    ) -> None:
        """`serve` is the code server; `execute` works a run off; `died` is told a run whose process crashed.

        Each is called in a process of its own.
        """
        self._location, self._folder = location, folder
        self._serve, self._execute, self._died = serve, execute, died
        self._server = 0
        self._runs: dict[int, str] = {}  # process -> run
        self._ending = False

    def run(self) -> NoReturn:
        prepare(self._location.shared)
        awake, wake = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(awake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, self._end)
        path = socket_path(self._folder, self._location.name)
        Path(path).unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
            listening.bind(path)
            listening.listen()
            self._inherited = (listening.fileno(), awake, wake)
            again_in: float | None = 0.0
            while not (self._ending and not self._server and not self._runs):
                if not self._server and not self._ending and again_in == 0.0:
                    self._server, again_in = (
                        self._fork(self._serve, with_parent=True, name="code server"),
                        None,
                    )
                ready, _, _ = select.select([listening, awake], [], [], again_in)
                if awake in ready:
                    with suppress(BlockingIOError):
                        os.read(awake, 4096)
                if listening in ready:
                    self._answer(listening)
                if self._reap():
                    again_in = RESPAWN_S
                elif not ready and again_in is not None:
                    again_in = 0.0
        os._exit(0)

    def _end(self, *_: object) -> None:
        """End the code server and, as `dagster dev` does, the runs, which tell that they were interrupted."""
        self._ending = True
        for pid in [self._server, *self._runs]:
            if pid:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGINT)

    def _fork(self, work: Callable[[], object], with_parent: bool, name: str = "run") -> int:
        inherited = self._inherited

        def alone() -> None:
            for handle in inherited:
                os.close(handle)
            work()

        return fork(alone, with_parent, name)

    def _answer(self, listening: socket.socket) -> None:
        with listening.accept()[0] as asked:
            asked.settimeout(5)
            try:
                message = json.loads(asked.recv(_MESSAGE_BYTES))
                answer = self._obey(message)
                asked.send(json.dumps(answer).encode())
            except (OSError, ValueError, KeyError) as error:
                print(f"{self._location.name}: a request could not be answered: {error!r}", file=sys.stderr)

    def _obey(self, message: dict[str, str]) -> dict[str, object]:
        run = message["run"]
        if message["do"] == "start":
            pid = self._fork(functools.partial(self._giving_way, message["arguments"]), with_parent=False)
            self._runs[pid] = run
            return {"pid": pid}
        for pid, known in self._runs.items():
            if known == run:
                os.kill(pid, signal.SIGINT)
                return {"pid": pid}
        return {"pid": None}

    def _giving_way(self, arguments: str) -> object:
        os.nice(RUNS_GIVE_WAY)
        return self._execute(arguments)

    def _reap(self) -> bool:
        """Forget the children that have ended; whether the code server is one of them."""
        ended = False
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    break
                run = self._runs.pop(pid, None)
                if run and status:
                    self._fork(functools.partial(self._died, run), with_parent=False)
                if pid == self._server:
                    self._server, ended = 0, True
        return ended
