"""The state of an installation at one moment, as files in one folder.

A file of the lake is never changed, only replaced by another of its name: a hard link keeps what was there.
So all are linked while everything goes on, and the lake stands still only until those are linked again that
were replaced meanwhile, and not for the hours that copying takes.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from datetime import date
from pathlib import Path

import duckdb

from earshot.backup.links import Links, Progress, files_below
from earshot.backup.manifest import TAKEN, WAREHOUSE_FILE, BackupError
from ingest.durable import locked
from ingest.feeds.schema import SHARDS
from ingest.feeds.state import folder_of, opened
from ingest.lake import LAST, Lake, reading
from ingest.logs.keyring import KeyRing, key_epochs
from ingest.settings import Settings

WAREHOUSE_WAIT_S = 600.0  # a build of the marts takes minutes
_WITH_THE_LAKE = ("keys", "privacy")  # of the same moment as the lake: rows are made with those keys
_KEYED = ("requests", "app_devices", "insertions")


def take_small(settings: Settings, into: Path) -> None:
    """Copy what is small and belongs to no moment: API secret, sources, lists, alerts."""
    for name in TAKEN:
        if name not in ("lake", *_WITH_THE_LAKE):
            _copy(settings.data / name, into / name)


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
    """Link every file of the lake below `into`, and copy its keys, as they are at one moment.

    That is while nobody takes in, commits, moves or removes anything, nor makes or destroys a key.
    """
    links = Links(settings.lake_dir, into / "lake")
    links.bring_up_to_date(progress, "linked", is_still=False)
    with contextlib.ExitStack() as still:
        still.enter_context(locked(Lake(settings.lake_dir).intake_lock))
        for shard in range(SHARDS):
            if folder_of(settings.lake_dir, shard).exists():
                still.enter_context(opened(settings.lake_dir, shard))  # lays out what was committed
        still.enter_context(reading(settings.lake_dir))
        still.enter_context(KeyRing.of(settings).held())
        links.bring_up_to_date(progress, "lake", is_still=True)
        take_keys(settings, into)


def take_keys(settings: Settings, into: Path) -> None:
    """Copy the keys and what is known of erasures."""
    for name in _WITH_THE_LAKE:
        _copy(settings.data / name, into / name)


def epochs_without_key(settings: Settings, into: Path) -> list[int]:
    """Key epochs of rows of the lake below `into` that have neither a secret there nor its tombstone."""
    if settings.keys_command is not None:
        return []
    days = {
        date.fromisoformat(folder.name.removeprefix("day="))
        for table in _KEYED
        for folder in (into / "lake" / table).glob("day=*")
        if folder.name != LAST
    }
    ring = KeyRing(into / "keys")
    return sorted(e for e in key_epochs(days) if not ring.has(e) and not ring.is_destroyed(e))


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


def _copy(source: Path, target: Path) -> None:
    """A file, or all files of a folder: new ones of mode 0600, of the same age."""
    if source.is_dir():
        files = [(target / each.name, each.path) for each in files_below(source)]
    else:
        files = [(target, str(source))] if source.is_file() else []
    for copy, path in files:
        copy.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        copy.touch(mode=0o600)
        shutil.copyfile(path, copy)
        shutil.copystat(path, copy)
        copy.chmod(0o600)
