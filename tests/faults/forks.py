"""Work in processes forked from one that has all modules at hand: a kill costs no start of Python."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.faults.killing import Point, arm
from tests.faults.scenario import Scenario, Told

PATIENCE_S = 120
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.faults.points", "dbt.cli.main", "dbt.adapters.duckdb"])


@dataclass(frozen=True)
class Ended:
    """How a process of ours ended."""

    code: int  # below 0: the signal that killed it
    said: str


def run(scenario: Scenario, data: Path, told: Told, point: Point | None = None) -> Ended:
    """The scenario's work in a process of its own, which dies at `point`."""
    said, marker = data.parent / "said.txt", data.parent / "reached"
    marker.unlink(missing_ok=True)
    process = _CONTEXT.Process(target=_work, args=(scenario, data, dict(told), point, said, marker))
    process.start()
    process.join(PATIENCE_S)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise TimeoutError(f"{scenario.name} took more than {PATIENCE_S} s at {point}")
    return Ended(process.exitcode, said.read_text(errors="replace") if said.exists() else "")


def was_reached(data: Path) -> bool:
    """Whether the last run came to its point."""
    return (data.parent / "reached").exists()


def _work(
    scenario: Scenario,
    data: Path,
    told: Told,
    point: Point | None,
    said: Path,
    marker: Path,
) -> None:
    with _told_to(said):
        if point is not None:
            arm(point, marker)
        try:
            scenario.work(data, told)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
    os._exit(0)


@contextlib.contextmanager
def _told_to(path: Path) -> Iterator[None]:
    """What is printed goes into a file."""
    with path.open("w") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
        yield


KILLED = -signal.SIGKILL
