"""What else names or follows listeners and grows old: rejects, plays and servings by key, landing files.

Requests go by retention.py, which must know what was counted; what is removed here is in no count.
"""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime, timedelta

import polars as pl

from ingest.durable import locked, sync
from ingest.lake import LAST, READERS_LOCK, Lake
from ingest.logs.found import find_landing_files
from ingest.schema import DAY_US, FileStatus
from ingest.settings import Settings

BY_KEY = ("app_devices", "insertions")


def expire_rejects(lake: Lake, keep_days: int, now_us: int) -> int:
    """Remove rejects of files taken in more than `keep_days` ago; files of them. Raises OSError."""
    before_us = now_us - keep_days * DAY_US
    old = (
        lake.ledger()
        .group_by("source", "file_id")
        .agg(pl.col("taken_in_us").max())
        .filter(pl.col("taken_in_us") < before_us)
    )
    gone = 0
    with locked(lake.intake_lock), locked(lake.root / READERS_LOCK):
        for source, file_id in old.select("source", "file_id").iter_rows():
            path = lake.rejects_path(source, file_id)
            if path.exists():
                path.unlink()
                gone += 1
        sync(lake.root / "rejects")
    return gone


def expire_plays(lake: Lake, keep_days: int, now_us: int) -> int:
    """Remove what apps and insertion servers told of days more than `keep_days` ago; days of them."""
    first = datetime.fromtimestamp(now_us / 1e6, UTC).date() - timedelta(days=keep_days)
    gone = 0
    with locked(lake.intake_lock), locked(lake.root / READERS_LOCK):
        for table in BY_KEY:
            for folder in sorted((lake.root / table).glob("day=*")):
                if folder.name != LAST and date.fromisoformat(folder.name.removeprefix("day=")) < first:
                    shutil.rmtree(folder)
                    gone += 1
            sync(lake.root / table)
    return gone


def expire_landing(settings: Settings, lake: Lake, now_us: int) -> int:
    """Remove landing files that were taken in more than `keep_landing_days` ago, unchanged since; how many.

    Those below the landing folder alone: a source with a path of its own is somebody else's folder. Refused
    and held files stay, for they are to be looked at.
    """
    before_us = now_us - settings.keep_landing_days * DAY_US
    done = [FileStatus.TAKEN.value, FileStatus.DUPLICATE.value]
    rows = lake.ledger().filter(pl.col("status").is_in(done), pl.col("taken_in_us") < before_us)
    known = set(rows.select("source", "file_name", "size_bytes", "modified_ns").iter_rows())
    below = settings.landing_dir.absolute()
    gone = 0
    for file in find_landing_files(settings):
        if file.identity in known and file.path.absolute().is_relative_to(below):
            file.path.unlink(missing_ok=True)
            gone += 1
    return gone
