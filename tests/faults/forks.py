"""Work in processes forked from one that has all modules at hand: a kill costs no start of Python."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from earshot.failures import in_plain_words
from tests.faults.killing import Point, arm, set_clock_ahead, slow_down
from tests.faults.scenario import Scenario, Told

PATIENCE_S = 120
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.faults.points", "dbt.cli.main", "dbt.adapters.duckdb"])


@dataclass(frozen=True)
class Ended:
    """How a process of ours ended."""

    code: int  # below 0: the signal that killed it
    said: str


def run(
    scenario: Scenario,
    data: Path,
    told: Told,
    point: Point | None = None,
    log: Path | None = None,
    slow_s: float = 0,
    clock_s: float = 0,
    kill_after_s: float | None = None,
) -> Ended:
    """The scenario's work in a process of its own, which dies at `point`; its output goes to `log`.

    kill_after_s: it is killed then, wherever it is. slow_s: each flush to the disk takes up to so much
    longer. clock_s: its clock is so far ahead.
    """
    folder = log or data.parent
    said, marker = folder / "said.txt", folder / "reached"
    marker.unlink(missing_ok=True)
    how = _How(point, marker, slow_s, clock_s)
    with contextlib.suppress(OSError):  # a full disk
        said.unlink(missing_ok=True)
    if os.statvfs(folder).f_bavail < 64:
        said = Path(tempfile.mkdtemp(prefix="earshot-said-")) / "said.txt"
    process = _CONTEXT.Process(target=_work, args=(scenario, data, dict(told), how, said))
    process.start()
    process.join(PATIENCE_S if kill_after_s is None else kill_after_s)
    if kill_after_s is not None and process.exitcode is None:
        process.kill()
        process.join()
    if process.exitcode is None:
        process.kill()
        process.join()
        raise TimeoutError(f"{scenario.name} took more than {PATIENCE_S} s at {point}")
    return Ended(process.exitcode, said.read_text(errors="replace") if said.exists() else "")


def was_reached(data: Path) -> bool:
    """Whether the last run came to its point."""
    return (data.parent / "reached").exists()


@dataclass(frozen=True)
class _How:
    point: Point | None
    marker: Path
    slow_s: float
    clock_s: float


def _work(scenario: Scenario, data: Path, told: Told, how: _How, said: Path) -> None:
    with _told_to(said):
        if how.point is not None:
            arm(how.point, how.marker)
        if how.slow_s:
            slow_down(how.slow_s)
        if how.clock_s:
            set_clock_ahead(how.clock_s)
        try:
            scenario.work(data, told)
        except Exception as error:
            _tell(error)
            os._exit(1)
        except SystemExit:
            sys.stdout.flush()
            os._exit(1)
    os._exit(0)


def _tell(error: Exception) -> None:
    """As the command line does."""
    plain = in_plain_words(error)
    if plain is None:
        traceback.print_exc()
    else:
        print(f"error  {plain[0]}", file=sys.stderr)
    sys.stderr.flush()


@contextlib.contextmanager
def _told_to(path: Path) -> Iterator[None]:
    """What is printed goes into a file."""
    with path.open("w") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
        yield


KILLED = -signal.SIGKILL
