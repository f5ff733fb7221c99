"""What keeps a long history cheap: for the command line and the Dagster asset alike. Imports no Dagster."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.compaction import Compacted, compact
from ingest.durable import clear_unfinished
from ingest.lake import Lake
from ingest.ledger_copy import renew
from ingest.retention import Expired, expire
from ingest.settings import Settings

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


def maintain(settings: Settings, lake: Lake, now_us: int, progress: Progress) -> Maintained:
    """Remove what is older than `keep_days` and counted, merge the small files of ended days, pack the marts.

    Raises OSError (disk full, folders that cannot be swapped); a rerun completes it.
    """
    expired, notes = Expired(lake.first_kept_day()), []
    left = sum(clear_unfinished(settings.data / name, now_us / 1e6) for name in _WRITTEN_TO)
    if left:
        notes.append(f"{left} unfinished files of processes that were killed are removed; nothing is lost")
    if settings.keep_days:
        progress("removing", 0, 1)
        counted = counted_files(settings.warehouse)
        if counted is None:
            notes.append("nothing was removed for its age: the warehouse is in use")
        else:
            expired = expire(lake, settings.keep_days, now_us, counted)
        progress("removing", 1, 1)
    if copied := renew(lake):
        notes.append(f"{copied} files of the ledger had no copy, or an older one: they have it now")
    if expired.waiting:
        notes.append(
            f"{expired.waiting} files have requests of more than {settings.keep_days} days ago (keep_days) "
            "that the marts have not counted: those days, and all after them, are removed once they are"
        )
    ended_by = datetime.fromtimestamp(now_us / 1e6, UTC) - timedelta(hours=settings.compact_after_h)
    last_day = ended_by.date() - timedelta(days=1)
    compacted = compact(lake, last_day, lambda done, of: progress("merging", done, of))
    from orchestration.packing import pack  # with DuckDB, as below

    progress("packing", 0, 1)
    packed = pack(settings.warehouse, settings.duckdb_memory)
    progress("packing", 1, 1)
    if packed.note:
        notes.append(packed.note)
    return Maintained(compacted, expired, packed, notes)


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
