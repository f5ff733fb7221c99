"""Which runs are still alive.

Dagster's default launcher cannot tell after a restart of the machine or of `dagster dev` whether a run marked
as started still has a worker. So each worker holds a file lock until its process ends, whatever ends it, and
a started run whose lock nobody holds is reported as failed: its files are asked for again, its pool is free.
"""

from __future__ import annotations

import contextlib
import fcntl
import time
from pathlib import Path
from typing import IO

import dagster as dg

from ingest.settings import Settings
from orchestration.constants import DEAD_RUN_GRACE_S, ENDED_RUN_LOCK_S

_held: dict[str, IO[str]] = {}  # open until this process ends; that is the point


def hold(run_id: str, settings: Settings) -> None:
    """Show that this process works on `run_id`, until the process ends."""
    if run_id in _held:
        return
    folder = _folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    _remove_stale(folder)
    lock = (folder / run_id).open("w")
    fcntl.flock(lock, fcntl.LOCK_SH)
    _held[run_id] = lock


def is_held(run_id: str, settings: Settings) -> bool:
    """Whether a living process works on `run_id`."""
    try:
        with (_folder(settings) / run_id).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def report_dead_runs(
    instance: dg.DagsterInstance, job_name: str, settings: Settings, now: float | None = None
) -> list[str]:
    """Report the started runs of `job_name` that have no worker as failed; returns their ids."""
    if instance.run_launcher.supports_check_run_worker_health:
        return []  # run monitoring does it, and the worker may be on another machine
    now = time.time() if now is None else now
    dead = []
    for record in instance.get_run_records(
        dg.RunsFilter(job_name=job_name, statuses=[dg.DagsterRunStatus.STARTED])
    ):
        run = record.dagster_run
        started = record.start_time or record.create_timestamp.timestamp()
        if now - started > DEAD_RUN_GRACE_S and not is_held(run.run_id, settings):
            instance.report_run_failed(run, "The process of this run is gone; its work is asked for again.")
            dead.append(run.run_id)
    return dead


def _folder(settings: Settings) -> Path:
    return settings.data / "dagster" / "alive"


def _remove_stale(folder: Path) -> None:
    """Remove the old files of runs that have ended; a living run's file is locked and stays."""
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError, BlockingIOError):
            if time.time() - path.stat().st_mtime > ENDED_RUN_LOCK_S:
                with path.open("r+") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()
