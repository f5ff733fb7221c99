"""Copy the marts into a new read-only version, then switch one link.

    published/<version>/marts.duckdb        every mart, in the storage format older drivers can read
    published/<version>/<mart>.parquet      the same, one file a mart
    published/<version>/<mart>/<date>.parquet   of marts that grow by the day (copying.BY_DATE): one a date
    published/<version>/manifest.json       what is in it: rows, columns, order, checksums
    published/current -> <version>

Readers open `realpath(published/current/marts.duckdb)` and are never in the way of the warehouse's one
writer. Told by a build what it changed, a version is a copy of the former one in which only that is written
again, and shares the Parquet files that stay the same: its cost hardly grows with the history
(docs/decisions/0008). A version is built in a hidden folder, flushed to disk and renamed; only then does
`current` move. A crash at any point leaves the old `current`, and the next publish clears away what it left.
"""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from ingest.durable import locked, sync
from serving import versions
from serving.change import Change, Former, State, former
from serving.copying import PUBLISHED, Copier, Mart, Part, copy_file, name, sha256, text

STORAGE_VERSION = "v1.2.0"  # DuckDB 2 writes a newer format by default, which older BI drivers cannot open
MARTS_SCHEMA = "marts"
DATABASE_NAME = "marts.duckdb"
MANIFEST_NAME = "manifest.json"

# Readers ask for one show over a span of days: rows that lie together are pruned together
# (1.0 ms instead of 3.3 ms a query, DESIGN §2). Of a mart's columns those named here come first, in this
# order, then its dates, then its instants.
SORT_FIRST = ("show_id", "show_key")
SORT_TYPES = ("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE")

Progress = Callable[[str, int, int], None]  # (mart, how many are done, how many there are)


# What DuckDB says, since its exceptions carry no code.
IN_USE = ("Conflicting lock", "Could not set lock", "Unique file handle conflict")
NO_ROOM = ("No space left", "Out of disk", "not enough space")


class PublishError(RuntimeError):
    """Nothing was published; the message says why and what to do. `current` is as it was."""


@dataclass(frozen=True)
class MartOrder:
    """One mart to publish and the columns its rows are sorted by."""

    name: str
    order_by: tuple[str, ...]


@dataclass(frozen=True)
class PublishedTable:
    """One mart of a published version."""

    mart: Mart
    rows: int
    files: tuple[Part, ...]

    @property
    def name(self) -> str:
        return self.mart.name

    @property
    def parquet_bytes(self) -> int:
        return sum(part.bytes for part in self.files)


@dataclass(frozen=True)
class Publication:
    """One published version."""

    version: int
    path: Path
    tables: tuple[PublishedTable, ...]
    total_bytes: int
    is_whole: bool  # copied whole, not from the version before

    @property
    def database(self) -> Path:
        return self.path / DATABASE_NAME


def publish(
    warehouse: Path,
    published_dir: Path,
    keep: int,
    marts: Sequence[MartOrder] | None = None,
    window: str | None = None,
    progress: Progress | None = None,
    change: Change | None = None,
) -> Publication:
    """Publish the tables and views of the warehouse's schema `marts` as the next version.

    `marts` chooses and sorts them; by default all are published in the order of `sort_columns`. `window` is
    the download window the marts were counted with; it is written into the manifest. `change` is what the
    last build did; by default, and where it does not fit, all is copied. The `keep` newest versions stay.
    Raises PublishError: no warehouse, no marts, warehouse in use, disk full.
    """
    if not warehouse.is_file():
        raise PublishError(f"there is no warehouse at {warehouse}: run `dbt build` (or `earshot demo`) first")
    try:
        published_dir.mkdir(parents=True, exist_ok=True)
        with locked(published_dir / ".lock"):
            versions.clear_leftovers(published_dir)
            version = versions.next_version(published_dir)
            building = published_dir / f"{versions.LEFTOVER}{versions.folder_name(version)}"
            building.mkdir()
            try:
                tables, is_whole = _build(
                    warehouse, published_dir, building, version, marts, window, progress, change
                )
                versions.flush(building)
                final = published_dir / versions.folder_name(version)
                building.replace(final)
                sync(published_dir)
                versions.switch(published_dir, final.name)
            except BaseException:
                shutil.rmtree(building, ignore_errors=True)
                raise
            with contextlib.suppress(OSError):  # published already; the next publish prunes again
                versions.prune(published_dir, keep)
    except (OSError, duckdb.Error) as error:
        raise PublishError(_explain(error, warehouse, published_dir)) from error
    total = sum(file.stat().st_size for file in final.rglob("*") if file.is_file())
    return Publication(version, final, tables, total, is_whole)


def sort_columns(columns: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """The order of a mart with these (name, type) columns: by show, then date, then instant."""
    names = [name for name, _ in columns]
    leading = [name for name in SORT_FIRST if name in names][:1]
    return (*leading, *(name for wanted in SORT_TYPES for name, kind in columns if kind == wanted))


# --- building a version


def _build(
    warehouse: Path,
    published_dir: Path,
    building: Path,
    version: int,
    chosen: Sequence[MartOrder] | None,
    window: str | None,
    progress: Progress | None,
    change: Change | None,
) -> tuple[tuple[PublishedTable, ...], bool]:
    source = warehouse.stem  # dbt's views name their database so
    database = building / DATABASE_NAME
    state = State.of(warehouse)
    with contextlib.closing(duckdb.connect()) as con:
        con.execute(f"set temp_directory = {text(str(building / 'spill'))}")
        con.execute(f"attach {text(str(warehouse))} as {name(source)} (read_only)")
        marts = _marts(con, source, warehouse, chosen)
        former_version = former(
            versions.current_version(published_dir),
            MANIFEST_NAME,
            warehouse,
            change,
            window,
            {mart.name: list(mart.columns) for mart in marts},
            {mart.name: mart.order_by for mart in marts},
        )
        if former_version:
            copy_file(former_version.folder / DATABASE_NAME, database)
        con.execute(f"attach {text(str(database))} as {PUBLISHED} (storage_version '{STORAGE_VERSION}')")
        copier = Copier(con, source, building, former_version, change)
        tables = []
        for done, mart in enumerate(marts):
            if progress:
                progress(mart.name, done, len(marts))
            rows, parts = copier.copy(mart)
            tables.append(PublishedTable(mart, rows, tuple(parts)))
        con.execute(f"checkpoint {PUBLISHED}")
        con.execute(f"detach {PUBLISHED}")
    shutil.rmtree(building / "spill", ignore_errors=True)
    if progress:
        progress("", len(marts), len(marts))
    rules = change.rules if change and change.after == state else None
    _write_manifest(building, version, window, rules, tables, state, former_version)
    return tuple(tables), former_version is None


def _marts(
    con: duckdb.DuckDBPyConnection, source: str, warehouse: Path, chosen: Sequence[MartOrder] | None
) -> list[Mart]:
    """What is to be published: all tables and views of the marts schema, or those chosen."""
    columns = _columns(con, source)
    if not columns:
        raise PublishError(
            f"the warehouse {warehouse} has no table in schema `{MARTS_SCHEMA}`: run `dbt build` first"
        )
    if chosen is None:
        chosen = [MartOrder(mart, sort_columns(found)) for mart, found in columns.items()]
    missing = sorted({mart.name for mart in chosen} - set(columns))
    if missing:
        raise PublishError(
            f"schema `{MARTS_SCHEMA}` of {warehouse} has no {', '.join(missing)}; it has {', '.join(columns)}"
        )
    comments = _comments(con, source)
    return [
        Mart(mart.name, mart.order_by, tuple(columns[mart.name]), tuple(comments.get(mart.name, ())))
        for mart in chosen
    ]


def _columns(con: duckdb.DuckDBPyConnection, source: str) -> dict[str, list[tuple[str, str]]]:
    """(column, type) of each table and view of the marts schema, marts by name, columns in their order."""
    rows = con.execute(
        "select table_name, column_name, data_type from duckdb_columns()"
        " where database_name = ? and schema_name = ? order by table_name, column_index",
        [source, MARTS_SCHEMA],
    ).fetchall()
    found: dict[str, list[tuple[str, str]]] = {}
    for table, column, kind in rows:
        found.setdefault(table, []).append((column, kind))
    return found


def _comments(con: duckdb.DuckDBPyConnection, source: str) -> dict[str, list[tuple[str | None, str]]]:
    """(column, comment) by mart; the mart's own has no column."""
    here = "database_name = $source and schema_name = $schema and comment is not null"
    rows = con.execute(
        f"select table_name, column_name, comment from duckdb_columns() where {here}"
        f" union all select table_name, null, comment from duckdb_tables() where {here}"
        f" union all select view_name, null, comment from duckdb_views() where {here}",
        {"source": source, "schema": MARTS_SCHEMA},
    ).fetchall()
    found: dict[str, list[tuple[str | None, str]]] = {}
    for table, column, comment in rows:
        found.setdefault(table, []).append((column, comment))
    return found


def _write_manifest(
    building: Path,
    version: int,
    window: str | None,
    rules: str | None,
    tables: Sequence[PublishedTable],
    state: State | None,
    former_version: Former | None,
) -> None:
    database = building / DATABASE_NAME
    now = datetime.now(UTC).isoformat(timespec="seconds")
    manifest = {
        "version": version,
        "made_at": now,
        "sorted_at": former_version.sorted_at if former_version else now,
        "window": window,
        "rules": rules,
        "warehouse": asdict(state) if state else None,
        "database": {
            "file": database.name,
            "storage_version": STORAGE_VERSION,
            "bytes": database.stat().st_size,
            "sha256": sha256(database),
        },
        "tables": [_described(table) for table in tables],
    }
    (building / MANIFEST_NAME).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _described(table: PublishedTable) -> dict[str, object]:
    comments = dict(table.mart.comments)
    return {
        "name": table.name,
        "description": comments.get(None),
        "rows": table.rows,
        "order_by": list(table.mart.order_by),
        "files": [asdict(part) for part in table.files],
        "columns": [
            {"name": column, "type": kind, "description": comments.get(column)}
            for column, kind in table.mart.columns
        ],
    }


def _explain(error: Exception, warehouse: Path, published_dir: Path) -> str:
    text = str(error)
    if any(sign in text for sign in IN_USE):
        return (
            f"the warehouse {warehouse} is in use, so nothing was published ({text.splitlines()[0]}). Only "
            "dbt and the publisher may open it: wait for the run that holds it to end, close any client that "
            f"has it open, publish again; readers open {published_dir / versions.CURRENT / DATABASE_NAME}"
        )
    if getattr(error, "errno", None) == errno.ENOSPC or any(sign in text for sign in NO_ROOM):
        free = shutil.disk_usage(published_dir).free if published_dir.exists() else 0
        return (
            f"no room under {published_dir} for another version ({free:,} bytes free, the warehouse has "
            f"{warehouse.stat().st_size:,}): free some space or lower EARSHOT_KEEP_VERSIONS, publish again"
        )
    return f"could not publish {warehouse} under {published_dir}: {text}"
