"""What `earshot verify` sets aside holds keys, too: it goes with its age, and with an erasure.

<data>/damaged/<when, epoch µs>/<path as in the lake>
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

from ingest.durable import locked, sync
from ingest.lake import READERS_LOCK
from ingest.schema import DAY_US
from ingest.settings import Settings
from ingest.suppression import Suppressions

FOLDER = "damaged"  # below the data folder
_OF_DAY = re.compile(r"(?:requests|app_devices|insertions)/day=(\d{4}-\d\d-\d\d)/")


def set_aside(settings: Settings, path: Path, now_us: int) -> None:
    """Move a file, `path` below the lake, there. Raises OSError."""
    keep_aside(settings, path, now_us)
    file = settings.lake_dir / path
    with locked(settings.lake_dir / READERS_LOCK):
        file.unlink(missing_ok=True)
    sync(file.parent)


def keep_aside(settings: Settings, path: Path, now_us: int) -> None:
    """A second name of what is there, which stays until another file takes its place. Raises OSError."""
    file = settings.lake_dir / path
    if not file.exists():
        return
    target = settings.data / FOLDER / str(now_us) / path
    target.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        try:
            os.link(file, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            shutil.copy2(file, target)  # its folder is on another disk


def expire_set_aside(settings: Settings, keep_days: int, now_us: int) -> int:
    """Remove what was set aside more than `keep_days` ago; files of it. Raises OSError."""
    folder, before_us, gone = settings.data / FOLDER, now_us - keep_days * DAY_US, 0
    for each in sorted(folder.iterdir()) if folder.is_dir() else ():
        at_us = int(each.name) if each.name.isascii() and each.name.isdigit() else _changed_us(each)
        if at_us >= before_us:
            continue
        if each.is_dir() and not each.is_symlink():
            gone += len(_files(each))
            shutil.rmtree(each)
        else:
            gone += 1
            each.unlink()
    if gone:
        sync(folder)
    return gone


def remove_erased(settings: Settings, listed: Suppressions) -> int:
    """Remove the files of days in which somebody was erased; how many. Raises OSError.

    Whole: what is damaged cannot be read row by row.
    """
    spans = listed.rows.select("first_us", "end_us").unique().rows()
    gone = 0
    for path in _files(settings.data / FOLDER):
        if not (day := _OF_DAY.search(path.as_posix())):
            continue
        first_us = int(datetime.fromisoformat(day[1]).replace(tzinfo=UTC).timestamp()) * 1_000_000
        if any(first < first_us + DAY_US and first_us < end for first, end in spans):
            path.unlink()
            sync(path.parent)
            gone += 1
    return gone


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_symlink() or path.is_file())


def _changed_us(path: Path) -> int:
    return path.lstat().st_mtime_ns // 1000
