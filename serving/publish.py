"""Copy the marts into a new read-only version, then switch one link.

    published/<version>/marts.duckdb        every mart, in the storage format older drivers can read
    published/<version>/<mart>.parquet      the same, one file a mart
    published/<version>/manifest.json       what is in it: rows, columns, order, checksums
    published/current -> <version>

Readers open `realpath(published/current/marts.duckdb)` and are never in the way of the warehouse's one
writer. A version is built in a hidden folder, flushed to disk and renamed; only then does `current` move. A
crash at any point leaves the old `current`, and the next publish clears away what it left behind.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from ingest.durable import locked, sync
from serving import versions

STORAGE_VERSION = "v1.2.0"  # DuckDB 2 writes a newer format by default, which older BI drivers cannot open
MARTS_SCHEMA = "marts"
DATABASE_NAME = "marts.duckdb"
MANIFEST_NAME = "manifest.json"
PUBLISHED = "published_version"  # the database being written, while it is attached

# Readers ask for one show over a span of days: rows that lie together are pruned together
# (1.0 ms instead of 3.3 ms a query, DESIGN §2). Of a mart's columns those named here come first, in this
# order, then its dates, then its instants.
SORT_FIRST = ("show_id", "show_key")
SORT_TYPES = ("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE")

Comments = dict[tuple[str, str | None], str]  # of a (mart, column); of the mart itself with column None
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

    name: str
    rows: int
    order_by: tuple[str, ...]
    parquet_bytes: int
    parquet_sha256: str


@dataclass(frozen=True)
class Publication:
    """One published version."""

    version: int
    path: Path
    tables: tuple[PublishedTable, ...]
    total_bytes: int

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
) -> Publication:
    """Publish the tables and views of the warehouse's schema `marts` as the next version.

    `marts` chooses and sorts them; by default all are published in the order of `sort_columns`. `window` is
    the download window the marts were counted with; it is written into the manifest. The `keep` newest
    versions stay. Raises PublishError: no warehouse, no marts, warehouse in use, disk full.
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
                tables = _build(warehouse, building, version, marts, window, progress)
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
    total = sum(file.stat().st_size for file in final.iterdir())
    return Publication(version, final, tables, total)


def sort_columns(columns: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """The order of a mart with these (name, type) columns: by show, then date, then instant."""
    names = [name for name, _ in columns]
    leading = [name for name in SORT_FIRST if name in names][:1]
    return (*leading, *(name for wanted in SORT_TYPES for name, kind in columns if kind == wanted))


# --- building a version


def _build(
    warehouse: Path,
    building: Path,
    version: int,
    marts: Sequence[MartOrder] | None,
    window: str | None,
    progress: Progress | None,
) -> tuple[PublishedTable, ...]:
    source = warehouse.stem  # dbt's views name their database so
    with contextlib.closing(duckdb.connect()) as con:
        con.execute(f"set temp_directory = {_text(str(building / 'spill'))}")
        con.execute(f"attach {_text(str(warehouse))} as {_name(source)} (read_only)")
        con.execute(
            f"attach {_text(str(building / DATABASE_NAME))} as {PUBLISHED}"
            f" (storage_version '{STORAGE_VERSION}')"
        )
        columns = _columns(con, source)
        if not columns:
            raise PublishError(
                f"the warehouse {warehouse} has no table in schema `{MARTS_SCHEMA}`: run `dbt build` first"
            )
        if marts is None:
            marts = [MartOrder(name, sort_columns(found)) for name, found in columns.items()]
        missing = sorted({mart.name for mart in marts} - set(columns))
        if missing:
            raise PublishError(
                f"schema `{MARTS_SCHEMA}` of {warehouse} has no {', '.join(missing)}; "
                f"it has {', '.join(columns)}"
            )
        comments = _comments(con, source)
        tables = []
        for done, mart in enumerate(marts):
            if progress:
                progress(mart.name, done, len(marts))
            tables.append(_copy(con, source, mart, comments, building))
        con.execute(f"checkpoint {PUBLISHED}")
        con.execute(f"detach {PUBLISHED}")
    shutil.rmtree(building / "spill", ignore_errors=True)
    if progress:
        progress("", len(marts), len(marts))
    _write_manifest(building, version, window, tables, columns, comments)
    return tuple(tables)


def _copy(
    con: duckdb.DuckDBPyConnection, source: str, mart: MartOrder, comments: Comments, building: Path
) -> PublishedTable:
    table = f"{PUBLISHED}.main.{_name(mart.name)}"
    order = f" order by {', '.join(_name(column) for column in mart.order_by)}" if mart.order_by else ""
    origin = f"{_name(source)}.{MARTS_SCHEMA}.{_name(mart.name)}"
    con.execute(f"create table {table} as select * from {origin}{order}").fetchall()
    for (owner, column), comment in comments.items():
        if owner == mart.name:
            target = f"column {table}.{_name(column)}" if column else f"table {table}"
            con.execute(f"comment on {target} is {_text(comment)}")
    parquet = building / f"{mart.name}.parquet"
    con.execute(f"copy {table} to {_text(str(parquet))} (format parquet, compression zstd)").fetchall()
    counted = con.execute(f"select count(*) from {table}").fetchall()
    return PublishedTable(
        mart.name, int(counted[0][0]), mart.order_by, parquet.stat().st_size, _sha256(parquet)
    )


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


def _comments(con: duckdb.DuckDBPyConnection, source: str) -> Comments:
    here = "database_name = $source and schema_name = $schema and comment is not null"
    rows = con.execute(
        f"select table_name, column_name, comment from duckdb_columns() where {here}"
        f" union all select table_name, null, comment from duckdb_tables() where {here}"
        f" union all select view_name, null, comment from duckdb_views() where {here}",
        {"source": source, "schema": MARTS_SCHEMA},
    ).fetchall()
    return {(table, column): comment for table, column, comment in rows}


def _write_manifest(
    building: Path,
    version: int,
    window: str | None,
    tables: Sequence[PublishedTable],
    columns: dict[str, list[tuple[str, str]]],
    comments: Comments,
) -> None:
    database = building / DATABASE_NAME
    manifest = {
        "version": version,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "window": window,
        "database": {
            "file": database.name,
            "storage_version": STORAGE_VERSION,
            "bytes": database.stat().st_size,
            "sha256": _sha256(database),
        },
        "tables": [
            {
                "name": table.name,
                "description": comments.get((table.name, None)),
                "rows": table.rows,
                "order_by": list(table.order_by),
                "file": f"{table.name}.parquet",
                "bytes": table.parquet_bytes,
                "sha256": table.parquet_sha256,
                "columns": [
                    {"name": name, "type": kind, "description": comments.get((table.name, name))}
                    for name, kind in columns[table.name]
                ],
            }
            for table in tables
        ],
    }
    (building / MANIFEST_NAME).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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


def _name(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
