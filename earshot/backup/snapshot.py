"""The state of an installation at one moment, as files in one folder.

A file of the lake is never changed, only replaced by another of its name: a hard link keeps what was there.
So the lake stands still for the seconds that linking takes, and not for the hours that copying takes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb

from earshot.backup.manifest import TAKEN, WAREHOUSE_FILE, BackupError
from ingest.durable import locked
from ingest.feeds.schema import SHARDS
from ingest.feeds.state import folder_of, opened
from ingest.lake import Lake, reading
from ingest.settings import Settings

WAREHOUSE_WAIT_S = 600.0  # a build of the marts takes minutes
Progress = Callable[[str, int, int], None]  # (step, how many are done, how many there are)


def take_small(settings: Settings, into: Path) -> None:
    """Copy what is small, may change in place, or is secret: keys, API secret, sources, lists, alerts."""
    for name in TAKEN:
        source = settings.data / name
        if name == "lake":
            continue
        for path in _files(source) if source.is_dir() else [source] if source.is_file() else []:
            copy = into / path.relative_to(settings.data)
            copy.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            copy.touch(mode=0o600)
            shutil.copyfile(path, copy)
            shutil.copystat(path, copy)
            copy.chmod(0o600)


def take_warehouse(settings: Settings, into: Path) -> bool:
    """Copy the warehouse where marts could not be made again without it; whether that is so.

    Whoever has it open for reading keeps writers out. Raises BackupError where it is in use for long.
    """
    if not settings.warehouse.exists() or Lake(settings.lake_dir).first_kept_day() is None:
        return False
    give_up = time.monotonic() + WAREHOUSE_WAIT_S
    while True:
        try:
            held = duckdb.connect(str(settings.warehouse.resolve()), read_only=True)
            break
        except duckdb.IOException as error:
            if time.monotonic() > give_up:
                raise BackupError(
                    f"{settings.warehouse} is in use for {WAREHOUSE_WAIT_S / 60:g} min: back up when no "
                    "build of the marts is under way"
                ) from error
            time.sleep(1)
    with contextlib.closing(held):
        for path in (settings.warehouse, settings.warehouse.with_name(f"{WAREHOUSE_FILE}.wal")):
            if path.exists():
                shutil.copyfile(path, into / path.name)
    return True


def take_lake(settings: Settings, into: Path, progress: Progress) -> None:
    """Link every file of the lake below `into`, while nobody takes in, commits, moves or removes any."""
    root = settings.lake_dir
    with contextlib.ExitStack() as still:
        still.enter_context(locked(Lake(root).intake_lock))
        for shard in range(SHARDS):
            if folder_of(root, shard).exists():
                still.enter_context(opened(root, shard))  # lays out what was committed
        still.enter_context(reading(root))
        paths = sorted(_files(root))
        for done, path in enumerate(paths, 1):
            copy = into / "lake" / path.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, copy)
            except OSError:  # another disk, or one that knows no links
                shutil.copy2(path, copy)
            if not done % 25 or done == len(paths):
                progress("lake", done, len(paths))


def left_out(settings: Settings) -> list[str]:
    """What stands in the data folder and is in no backup."""
    if not settings.data.is_dir():
        return []
    taken = {*TAKEN, "registry.db", "registry.db-wal", "registry.db-shm"}
    return sorted(
        path.name
        for path in settings.data.iterdir()
        if path.name not in taken and not path.name.startswith(".")
    )


def _files(folder: Path) -> Iterator[Path]:
    """All files below but hidden ones: locks, and what is in the making."""
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(where) / name for name in sorted(files) if not name.startswith("."))
