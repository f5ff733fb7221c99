"""`earshot deliver` as a process that is killed on the way and begun again at once."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.measure import TAIL_LINES, CommandFailed, python, resident

COMMAND = ("-m", "earshot.cli", "deliver")
_LOOK_S = 0.02
_MEASURE_S = 0.5  # between looks at its memory: one costs some ms
_PATIENCE_S = 30  # for its end: requests that are out have 15 s


class Sender(threading.Thread):
    """Runs until it is stopped; `kills`: instants of time.monotonic() at which it is killed with SIGKILL."""

    def __init__(self, env: Mapping[str, str], kills: Sequence[float], log: Path) -> None:
        super().__init__(daemon=True)
        self._env, self._kills, self._log = {**os.environ, **env}, sorted(kills), log
        self._is_over = threading.Event()
        self.killed_us: list[int] = []
        self.cpu_s = 0.0  # of all its processes
        self.peak_mb = 0.0
        self.failure: str | None = None  # it ended by itself, or badly

    def run(self) -> None:
        while not self._is_over.is_set() and self.failure is None:
            self._one()

    def stop(self) -> None:
        """End it as a user would. Raises CommandFailed where it had ended before, or ends with an error."""
        self._is_over.set()
        self.join()
        self.check()

    def check(self) -> None:
        """Raises CommandFailed where it has failed."""
        if self.failure is not None:
            raise CommandFailed(self.failure)

    def _one(self) -> None:
        """One process, from its start to its end."""
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                python(*COMMAND), stdout=log, stderr=log, env=self._env, start_new_session=True
            )
        measured = give_up = 0.0
        is_killed = is_stopped = False
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            now = time.monotonic()
            if now - measured > _MEASURE_S:
                measured = now
                self.peak_mb = max(self.peak_mb, resident(process.pid) / 1e6)
            if self._is_over.is_set() and not is_stopped:
                is_stopped, give_up = True, now + _PATIENCE_S
                process.send_signal(signal.SIGTERM)
            elif not is_stopped and not is_killed and self._kills and now >= self._kills[0]:
                is_killed = True
                self._kills.pop(0)
                self.killed_us.append(time.time_ns() // 1000)
                _kill(process.pid)
            elif is_stopped and now > give_up:
                _kill(process.pid)
            time.sleep(_LOOK_S)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.cpu_s += usage.ru_utime + usage.ru_stime
        if not is_killed and (process.returncode or not is_stopped):
            tail = "\n  ".join(self._log.read_text(errors="replace").splitlines()[-TAIL_LINES:])
            self.failure = f"the sender ended with {process.returncode}:\n  {tail}"


def _kill(pid: int) -> None:
    """The process and what it started: it leads a session of its own."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


@contextmanager
def sending(env: Mapping[str, str], kills: Sequence[float], log: Path) -> Iterator[Sender]:
    """A sender, until the block ends."""
    sender = Sender(env, kills, log)
    sender.start()
    try:
        yield sender
    finally:
        sender.stop()
