"""What of an erasure concerns the marts: the warehouse, what is published. Imports no Dagster.

The warehouse forgets the listener keys, the days are counted anew, published whole, versions of before are
removed, and the warehouse's file is copied, so that no free block of it holds what was there.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from ingest.durable import lock_file, locked, sync
from ingest.erasing import Erasing, finished, pending, told_the_marts
from ingest.lake import Lake, utc_now_us
from ingest.set_aside import remove_erased
from ingest.settings import Settings
from ingest.suppression import Suppressions
from orchestration.packing import pack
from serving import versions

WAIT_S = 600.0  # a build of the marts takes minutes
AUDIT = "privacy/audit.jsonl"
LOCK = ".erasing.lock"  # of the data folder: one erasure at a time, from the lake to what is published

Progress = Callable[[str, int, int], None]  # (step, done, of)


class MartsInUse(RuntimeError):
    """The warehouse is in use; the message says what is done and what is not."""


@contextlib.contextmanager
def alone(settings: Settings, waits: Callable[[], None]) -> Iterator[None]:
    """No other erasure meanwhile; `waits` is called where one is under way, whose end is waited for."""
    with lock_file(settings.data / LOCK) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waits()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def prepare_marts(settings: Settings, lake: Lake, wait_s: float = WAIT_S) -> Erasing | None:
    """Forget the listeners and have the days counted anew; what there is to do, None: nothing.

    Raises MartsInUse: the lake has nothing more of them, the marts still do.
    """
    todo = pending(settings)
    if todo is None or todo.restated_us:
        return todo
    # What a killed rebuild had counted knows them still.
    shutil.rmtree(settings.data / "rebuild", ignore_errors=True)
    _forget(settings.warehouse, todo.listeners, wait_s)
    told_the_marts(lake, todo, utc_now_us())
    return todo


def is_counted(settings: Settings, todo: Erasing) -> bool:
    """Has a whole build counted the days anew?"""
    if not settings.warehouse.exists():
        return True
    try:
        with contextlib.closing(duckdb.connect(str(settings.warehouse), read_only=True)) as con:
            rows = con.execute(
                "select cast(day as varchar) from intermediate.int_counted_restatements"
                " where restated_us >= ?",
                [todo.restated_us],
            ).fetchall()
    except duckdb.CatalogException:
        return True  # nothing was ever counted
    except duckdb.IOException:
        return False
    return set(todo.days) <= {row[0] for row in rows}


def clear_away(settings: Settings, lake: Lake, todo: Erasing) -> int:
    """What is left of before, once the marts were published whole; files removed of those set aside.

    Raises OSError, MartsInUse.
    """
    if settings.published_dir.exists():
        with locked(settings.published_dir / ".lock"):  # the publisher's own
            versions.prune(settings.published_dir, 1)
            versions.clear_leftovers(settings.published_dir)
    # The last build noted whose counting it began anew, which the next one does again; and when who was first
    # heard of, where old keys were forgotten.
    notes = [
        "delete from intermediate.int_window_restarts",
        "delete from intermediate.int_first_downloads"
        " where listener_key not in (select listener_key from intermediate.int_download_windows)",
    ]
    _changed(settings.warehouse, notes, [], WAIT_S)
    packed = pack(settings.warehouse, settings.duckdb_memory, free_share=0, many_blocks=0)
    if packed.note:
        raise MartsInUse(
            f"{packed.note}: its free blocks may still hold keys. `earshot privacy apply` goes on"
        )
    gone = remove_erased(settings, Suppressions.load(lake.root))
    finished(lake, todo)
    return gone


def _forget(warehouse: Path, listeners: list[tuple[int, int]], wait_s: float) -> None:
    if listeners:
        gone = (
            "delete from intermediate.int_counted_listeners as counted using"
            " (select unnest(?::integer[]) as key_epoch, unnest(?::bigint[]) as listener_key) as gone"
            " where counted.key_epoch = gone.key_epoch and counted.listener_key = gone.listener_key"
        )
        _changed(warehouse, [gone], [list(column) for column in zip(*listeners, strict=True)], wait_s)


def _changed(warehouse: Path, statements: list[str], values: list[list[int]], wait_s: float) -> None:
    """Change a warehouse that is there, once nobody else has it open. Raises MartsInUse."""
    if not warehouse.exists():
        return
    give_up = time.monotonic() + wait_s
    while True:
        try:
            con = duckdb.connect(str(warehouse))
            break
        except duckdb.IOException as error:
            if time.monotonic() > give_up:
                raise MartsInUse(
                    "the rows are gone from the lake, but the warehouse is in use: run `earshot privacy "
                    "apply` when no build is under way; it goes on where this stopped"
                ) from error
            time.sleep(0.5)
    with contextlib.closing(con):
        with contextlib.suppress(duckdb.CatalogException):  # nothing was ever counted
            for statement in statements:
                con.execute(statement, values)
        con.execute("checkpoint")


def audit(settings: Settings, what: str, **told: object) -> None:
    """Who did what when, and to how many rows: no address, no key."""
    path = settings.data / AUDIT
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        who = getpass.getuser()
    except (KeyError, OSError):  # no such user, no variable that names one
        who = f"uid {os.getuid()}"
    at = datetime.now(UTC).isoformat(timespec="seconds")
    line = json.dumps({"at": at, "by": who, "what": what, **told}, default=str)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "a") as out:
        out.write(line + "\n")
        out.flush()
        os.fsync(out.fileno())
    sync(path.parent)
