"""Requests and rejects that are older than the installation keeps them are removed; what was counted stays.

In this order, so that a killed run leaves nothing that the next one does not finish: the lake remembers from
which day on it keeps requests (`kept.parquet`: later lines of earlier days are rejected, since a day of which
only they are there would be counted wrongly), the ledger forgets the days (so no build counts them anew, also
under other settings), and then their folders go. Ledger rows stay.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl

from ingest.compaction import ASIDE, clear_aside
from ingest.durable import locked, sync
from ingest.lake import READERS_LOCK, Lake, write_parquet
from ingest.schema import DAY_US, KEPT, FileStatus


@dataclass(frozen=True)
class Expired:
    """What was removed for its age."""

    first_kept_day: date | None  # requests of earlier event days are gone; None: none ever were removed
    days: int = 0
    files: int = 0
    bytes: int = 0
    requests: int = 0
    rejects: int = 0  # files of them
    waiting: int = 0  # files with requests that are old enough, but not counted yet


def expire(lake: Lake, keep_days: int, now_us: int, counted: Collection[tuple[str, str]]) -> Expired:
    """Remove requests of event days (UTC) more than `keep_days` before today, and rejects as old.

    counted: (source, file_id) of the files that the marts have counted; a day stays, and all after it, while
    it has requests of another one. Waits for an intake and for readers. Raises OSError; a rerun completes it.
    """
    today = datetime.fromtimestamp(now_us / 1e6, UTC).date()
    limit = today - timedelta(days=keep_days)
    with locked(lake.intake_lock):
        clear_aside(lake)
        ledger = lake.ledger()
        keys = pl.DataFrame(list(counted), {"source": pl.String, "file_id": pl.String}, orient="row")
        waiting = (
            ledger.filter(pl.col("status") == FileStatus.TAKEN.value)
            .join(keys, on=["source", "file_id"], how="anti")
            .select("source", "file_id", pl.col("days").list.min().alias("day"))
            .filter(pl.col("day") < limit)
        )
        first_waiting = waiting["day"].min()
        first_day = min(limit, first_waiting) if isinstance(first_waiting, date) else limit
        former = lake.first_kept_day()
        old = [day for day in lake.event_days() if day < max(first_day, former or first_day)]
        rejects = _remove_rejects(lake, ledger, first_day)
        if not old:
            return Expired(former, rejects=rejects, waiting=waiting.height)
        kept = max(first_day, former) if former else first_day
        write_parquet(pl.DataFrame([(kept, now_us)], KEPT, orient="row"), lake.kept_path)
        _forget_days(lake, ledger, kept)
        files = [path for day in old for path in lake.day_folder(day).glob("*.parquet")]
        size = sum(path.stat().st_size for path in files)
        requests = (
            int(pl.scan_parquet(files, hive_partitioning=False).select(pl.len()).collect().item())
            if files
            else 0
        )
        _remove_days(lake, old)
    return Expired(kept, len(old), len(files), size, requests, rejects, waiting.height)


def why_not_anew(first_kept: date, warehouse: Path) -> str:
    """Why marts are not built anew from a lake that begins on that day, and what to do."""
    return (
        f"requests before {first_kept} were removed (EARSHOT_KEEP_DAYS): marts built anew would begin there. "
        f"If {warehouse} is lost, put that of the last backup in its place; `earshot rebuild "
        "--without-removed` builds them all the same"
    )


def _forget_days(lake: Lake, ledger: pl.DataFrame, first_day: date) -> None:
    has_old = pl.col("days").list.min() < first_day
    kept = pl.col("days").list.eval(pl.element().filter(pl.element() >= first_day))
    forgetful = ledger.filter(has_old).with_columns(days=kept)
    if forgetful.height:
        lake.record(forgetful)


def _remove_days(lake: Lake, days: Collection[date]) -> None:
    aside = lake.root / ASIDE
    aside.mkdir()
    with locked(lake.root / READERS_LOCK):
        for day in days:
            folder = lake.day_folder(day)
            try:
                folder.rename(aside / folder.name)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                shutil.rmtree(folder)  # `requests` is a link to another disk; nobody reads meanwhile
        sync(lake.root / "requests")
    clear_aside(lake)


def _remove_rejects(lake: Lake, ledger: pl.DataFrame, first_day: date) -> int:
    """Of files whose last request, or where none could be read whose intake, was before `first_day`."""
    first_us = (first_day - date(1970, 1, 1)).days * DAY_US
    old = (
        ledger.group_by("source", "file_id")
        .agg(pl.coalesce(pl.col("last_us").max(), pl.col("taken_in_us").max()).alias("last_us"))
        .filter(pl.col("last_us") < first_us)
    )
    paths = [lake.rejects_path(*key) for key in old.select("source", "file_id").iter_rows()]
    there = [path for path in paths if path.exists()]
    with locked(lake.root / READERS_LOCK):
        for path in there:
            path.unlink()
    return len(there)
