"""What a command costs: CPU seconds, wall time and peak memory of its whole process tree."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import psutil

SAMPLE_S = 0.05
TAIL_LINES = 20


class CommandFailed(RuntimeError):
    """A measured command failed; the message carries the end of what it said."""


@dataclass(frozen=True)
class Cost:
    """Of one run of one command."""

    cpu_s: float  # user and system time of the process and all it waited for
    wall_s: float
    peak_mb: float  # largest sum of resident memory seen (every 50 ms), or that of the largest process

    def __add__(self, later: Cost) -> Cost:
        """Of both, one after the other."""
        return Cost(self.cpu_s + later.cpu_s, self.wall_s + later.wall_s, max(self.peak_mb, later.peak_mb))


def measured(command: Sequence[str], env: Mapping[str, str] | None = None) -> tuple[Cost, str]:
    """Runs `command`; its cost and what it wrote to stdout. Raises CommandFailed."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        began = time.monotonic()
        process = subprocess.Popen(
            command, stdout=out, stderr=err, env={**os.environ, **(env or {})}, start_new_session=True
        )
        sampler = PeakOf(process.pid)
        sampler.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        sampler.stop()
        out.seek(0)
        said = out.read()
        if process.returncode:
            err.seek(0)
            tail = "\n  ".join((said + err.read()).splitlines()[-TAIL_LINES:])
            raise CommandFailed(f"{' '.join(command)} ended with {process.returncode}:\n  {tail}")
    # A process begins with the peak of the one that started it: below that its own is not known.
    own = usage.ru_maxrss if usage.ru_maxrss > resource.getrusage(resource.RUSAGE_SELF).ru_maxrss else 0
    peak_mb = max(sampler.peak, own * 1024) / 1e6
    return Cost(usage.ru_utime + usage.ru_stime, wall_s, peak_mb), said


def python(*arguments: str) -> list[str]:
    """A command in this very interpreter."""
    return [sys.executable, *arguments]


def median(costs: Sequence[Cost]) -> Cost:
    """The median of each figure by itself; of memory the largest."""
    return Cost(
        statistics.median(cost.cpu_s for cost in costs),
        statistics.median(cost.wall_s for cost in costs),
        max(cost.peak_mb for cost in costs),
    )


def tree(pid: int) -> Iterator[psutil.Process]:
    """The process and all below it that are alive."""
    try:
        root = psutil.Process(pid)
        yield root
        yield from root.children(recursive=True)
    except psutil.NoSuchProcess:
        return


def cpu_s(pid: int) -> float:
    """User and system time of a process so far."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def resident(pid: int) -> int:
    """Bytes of resident memory of the tree; shared pages count in each process."""
    total = 0
    for process in tree(pid):
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def shared_out(pid: int) -> int:
    """Bytes of memory of the tree, shared pages divided among those that share them (PSS)."""
    total = 0
    for process in tree(pid):
        try:
            total += process.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return total


class PeakOf(threading.Thread):
    """Looks at a tree's resident memory until it is stopped: `peak`, bytes."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.peak, self._ended = pid, 0, threading.Event()

    def run(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            self.peak = max(self.peak, resident(self.pid))

    def stop(self) -> None:
        self._ended.set()
        self.join()
