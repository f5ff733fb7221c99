"""What keeps a long history cheap: for the command line and the Dagster asset alike. Imports no Dagster."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ingest import checksums
from ingest.clock import doubt, note_maintained
from ingest.compaction import Compacted, compact
from ingest.durable import clear_unfinished, locked
from ingest.expiry import expire_landing, expire_plays, expire_rejects
from ingest.lake import Lake
from ingest.ledger_copy import renew
from ingest.logs.keyring import LISTS_EPOCH, KeyEpoch, KeyRing, destroy_due
from ingest.retention import Expired, expire
from ingest.set_aside import expire_set_aside
from ingest.settings import Settings
from ingest.verify import verify

if TYPE_CHECKING:
    from orchestration.packing import Packed

Progress = Callable[[str, int, int], None]  # (step, done, of)

# Folders of a data folder in which files are written beside their place (durable.replacing).
_WRITTEN_TO = ("lake", "reference", "keys", "alerts", "dbt", "search")


@dataclass(frozen=True)
class Maintained:
    """What one call of `maintain` did."""

    compacted: list[Compacted]
    expired: Expired
    packed: Packed
    notes: list[str]  # why something was left for the next time
    destroyed: list[int]  # key epochs whose secret went
    landing: int = 0  # files that were taken in long ago
    forgotten: int = 0  # downloads that lost their keys


def maintain(settings: Settings, lake: Lake, now_us: int, progress: Progress) -> Maintained:
    """Destroy spent keys, remove what is too old, merge the small files of ended days, pack the marts.

    Raises OSError (disk full, folders that cannot be swapped); a rerun completes it.
    """
    notes: list[str] = []
    left = sum(clear_unfinished(settings.data / name, now_us / 1e6) for name in _WRITTEN_TO)
    if left:
        notes.append(f"{left} unfinished files of processes that were killed are removed; nothing is lost")
    progress("destroying keys", 0, 1)
    destroyed: list[KeyEpoch] = []
    if reason := doubt(settings, lake, now_us):
        if keys_due(settings, now_us):
            notes.append(reason)
    else:
        destroyed = destroy_keys(settings, lake, now_us, "maintenance")
        note_maintained(settings, now_us)
    progress("destroying keys", 1, 1)
    expired = Expired(lake.first_kept_day())
    if settings.keep_days:
        progress("removing", 0, 1)
        counted = counted_files(settings.warehouse)
        if counted is None:
            notes.append("nothing was removed for its age: the warehouse is in use")
        else:
            expired = expire(lake, settings.keep_days, now_us, counted)
        expire_plays(lake, settings.keep_days, now_us)
        progress("removing", 1, 1)
    if settings.keep_rejects_days:
        more = expire_rejects(lake, settings.keep_rejects_days, now_us)
        expired = replace(expired, rejects=expired.rejects + more)
        if aside := expire_set_aside(settings, settings.keep_rejects_days, now_us):
            notes.append(f"{aside} files that a repair had set aside are removed for their age")
    landing = expire_landing(settings, lake, now_us) if settings.keep_landing_days else 0
    if not checksums.is_complete(lake.root):  # of an earlier version, or restored by one
        progress("noting checksums", 0, 1)
        if not verify(lake.root).is_whole:
            notes.append("files of the lake are damaged, or rows lost: `earshot verify` names them")
        progress("noting checksums", 1, 1)
    if copied := renew(lake):
        notes.append(f"{copied} files of the ledger had no copy, or an older one: they have it now")
    if expired.waiting:
        notes.append(
            f"{expired.waiting} files have requests of more than {settings.keep_days} days ago (keep_days) "
            "that the marts have not counted: those days, and all after them, are removed once they are"
        )
    ended_by = datetime.fromtimestamp(now_us / 1e6, UTC) - timedelta(hours=settings.compact_after_h)
    last_day = ended_by.date() - timedelta(days=1)
    compacted: list[Compacted] = []
    if (lake.root / "requests").stat().st_dev == lake.root.stat().st_dev:
        compacted = compact(lake, last_day, lambda done, of: progress("merging", done, of))
    else:
        notes.append(
            f"{lake.root / 'requests'} is on another disk than {lake.root}: small files of its days cannot "
            "be merged. Move the whole lake there, with a link in its place"
        )
    from orchestration.forgetting import forget_keys
    from orchestration.packing import pack  # with DuckDB, as below

    progress("packing", 0, 1)
    forgotten = forget_keys(settings.warehouse, lake.first_kept_day())
    # What was forgotten is in the file's free blocks until it is copied.
    packed = (
        pack(settings.warehouse, settings.duckdb_memory, free_share=0, many_blocks=0)
        if forgotten.downloads
        else pack(settings.warehouse, settings.duckdb_memory)
    )
    progress("packing", 1, 1)
    if forgotten.note:
        notes.append(forgotten.note)
    if packed.note:
        notes.append(packed.note)
    return Maintained(
        compacted, expired, packed, notes, [each.epoch for each in destroyed], landing, forgotten.downloads
    )


def destroy_keys(settings: Settings, lake: Lake, now_us: int, by: str) -> list[KeyEpoch]:
    """Destroy the secrets of the listener hash that nothing needs any more; which, as they were before.

    For whoever knows that the clock is right. Waits for an intake: none is keying with one meanwhile.
    """
    with locked(lake.intake_lock):
        return list(destroy_due(KeyRing.of(settings), now_us, settings.late_days, by))


def keys_due(settings: Settings, now_us: int) -> bool:
    """Is there a secret whose time is over by this clock?"""
    return any(
        each.destroyed_us is None and each.epoch != LISTS_EPOCH and now_us >= each.due_us(settings.late_days)
        for each in KeyRing.of(settings).epochs()
    )


def counted_files(warehouse: Path) -> set[tuple[str, str]] | None:
    """(source, file_id) of the files that the last complete build counted; None: somebody writes there."""
    import duckdb  # which the code location `ingest` does without until it must look

    if not warehouse.exists():
        return set()
    try:
        with contextlib.closing(duckdb.connect(str(warehouse), read_only=True)) as con:
            return set(con.execute("select source, file_id from intermediate.int_counted_files").fetchall())
    except duckdb.CatalogException:
        return set()
    except duckdb.IOException:
        return None
