"""Copy the marts into a new read-only version, then switch one link.

    published/<version>/marts.duckdb                every mart, for the team
    published/<version>/shared.duckdb               what others may have too, for their BI tools (contract.py)
    published/<version>/<subject>/<mart>.parquet    every mart, one file each
    published/<version>/<subject>/<mart>/<date>.parquet   of marts that grow by the day (copying.BY_DATE)
    published/<version>/manifest.json               what is in it: rows, columns, grain, order, checksums
    published/current -> <version>

Both databases are in a storage format that older drivers can read. Readers open
`realpath(published/current/marts.duckdb)` and are never in the way of the warehouse's one writer. Told by a
build what it changed, a version is a copy of the former one in which only that is written again, and shares
the Parquet files that stay the same: its cost hardly grows with the history (docs/decisions/0008). A version
is built in a hidden folder, flushed to disk and renamed; only then does `current` move. A crash at any point
leaves the old `current`, and the next publish clears away what it left. PostgreSQL, where there is one,
follows once the link has moved (postgres.py): what fails there does not undo the files.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from ingest.durable import locked, sync
from ingest.lake import Lake
from ingest.modes import open_to_all
from serving import versions
from serving.change import Change, Former, State, former
from serving.contract import Audience, Contract, ContractError, read_contract
from serving.copying import Mart, copy_file, dates_to_write, name, sha256, text, write_table
from serving.manifest import (
    PublishedTable,
    has_shape,
    read_manifest,
    write_manifest,
)
from serving.parquet import ParquetFiles
from serving.postgres import Loaded, MartsDatabase, MartsDatabaseError, load
from serving.told import keep_told
from serving.versions import MANIFEST_NAME
from serving.warehouse_marts import MARTS_SCHEMA, MartOrder, NoSuchMarts, find_marts, sort_columns

__all__ = [
    "DATABASE_NAME",
    "MANIFEST_NAME",
    "MARTS_SCHEMA",
    "SHARED_NAME",
    "MartOrder",
    "Publication",
    "PublishError",
    "PublishedTable",
    "publish",
    "sha256",
    "sort_columns",
]

# DuckDB 2 writes a newer format by default, which older BI drivers cannot open.
STORAGE_VERSION = "v1.2.0"
SHARED_STORAGE_VERSION = "v1.0.0"
# A question reads some kilobytes of each column: blocks of 256 KiB, the default, cost a seventh more time and
# nearly twice the memory (docs/performance.md).
BLOCK_BYTES = 65_536
DATABASE_NAME = "marts.duckdb"
SHARED_NAME = "shared.duckdb"
INSIDE, SHARED = "inside", "shared"  # the two databases being written, while they are attached

Progress = Callable[[str, int, int], None]  # (mart, how many are done, how many there are)


_log = logging.getLogger(__name__)

# What DuckDB says, since its exceptions carry no code.
IN_USE = ("Conflicting lock", "Could not set lock", "Unique file handle conflict")
NO_ROOM = ("No space left", "Out of disk", "not enough space")


class PublishError(RuntimeError):
    """Nothing was published; the message says why and what to do. `current` is as it was."""


@dataclass(frozen=True)
class Publication:
    """One published version."""

    version: int
    path: Path
    tables: tuple[PublishedTable, ...]
    total_bytes: int
    is_whole: bool  # copied whole, not from the version before
    postgres: Loaded | None = None
    postgres_problem: str | None = None  # why PostgreSQL, though asked for, has not this version

    @property
    def database(self) -> Path:
        return self.path / DATABASE_NAME

    @property
    def shared_database(self) -> Path:
        return self.path / SHARED_NAME


def publish(
    warehouse: Path,
    published_dir: Path,
    keep: int,
    marts: Sequence[MartOrder] | None = None,
    window: str | None = None,
    progress: Progress | None = None,
    change: Change | None = None,
    contract: Contract | None = None,
    postgres: MartsDatabase | None = None,
    lake: Path | None = None,
) -> Publication:
    """Publish the tables and views of the warehouse's schema `marts` as the next version.

    `marts` chooses and sorts them; by default all are published in the order of `sort_columns`. `window` is
    the download window the marts were counted with; it is written into the manifest. `change` is what the
    last build did; by default, and where it does not fit, all is copied. `contract` says what others than
    the team may have, and is dbt's by default. The `keep` newest versions stay. `postgres` gets the version
    once it is published; why it did not stands in the result's `postgres_problem`. Below `lake` is
    kept, before it is published, what cannot be found again (told.py); without one nothing is kept.
    Raises PublishError: no warehouse, no marts, no contract, warehouse in use, disk full.
    """
    if not warehouse.is_file():
        raise PublishError(f"there is no warehouse at {warehouse}: run `dbt build` (or `earshot demo`) first")
    try:
        contract = read_contract() if contract is None else contract
        if not published_dir.exists():
            published_dir.mkdir(parents=True, exist_ok=True)
            published_dir.chmod(0o755)
        with locked(published_dir / ".lock"):
            versions.clear_leftovers(published_dir)
            version = versions.next_version(published_dir)
            building = published_dir / f"{versions.LEFTOVER}{versions.folder_name(version)}"
            building.mkdir()
            try:
                tables, base = _build(
                    warehouse, published_dir, building, version, marts, window, progress, change, contract
                )
                open_to_all(building, _for_all(contract, tables))
                versions.flush(building)
                if lake is not None:
                    keep_told(building / DATABASE_NAME, Lake(lake))
                final = published_dir / versions.folder_name(version)
                building.replace(final)
                sync(published_dir)
                versions.switch(published_dir, final.name)
            except BaseException:
                shutil.rmtree(building, ignore_errors=True)
                raise
            with contextlib.suppress(OSError):  # published already; the next publish prunes again
                versions.prune(published_dir, keep)
            loaded, problem = _load(postgres, final, tables, base) if postgres else (None, None)
    except NoSuchMarts as error:
        raise PublishError(str(error)) from error
    except ContractError as error:
        raise PublishError(
            f"it is not known who may have which mart, so nothing was published: {error}"
        ) from error
    except (OSError, duckdb.Error) as error:
        raise PublishError(_explain(error, warehouse, published_dir)) from error
    total = sum(file.stat().st_size for file in final.rglob("*") if file.is_file())
    return Publication(version, final, tables, total, base is None, loaded, problem)


def _for_all(contract: Contract, tables: Sequence[PublishedTable]) -> set[str]:
    """Files of a version that any account of this machine may read: what is shared, as a whole."""
    names = {SHARED_NAME, MANIFEST_NAME}
    for table in tables:
        mart = contract.get(table.name)
        if mart and mart.audience is Audience.SHARED and mart.shared_columns == mart.columns:
            names |= {f"{mart.subject}/{mart.name}.parquet", f"{mart.subject}/{mart.name}"}
    return names


def _build(
    warehouse: Path,
    published_dir: Path,
    building: Path,
    version: int,
    chosen: Sequence[MartOrder] | None,
    window: str | None,
    progress: Progress | None,
    change: Change | None,
    contract: Contract,
) -> tuple[tuple[PublishedTable, ...], Former | None]:
    source = warehouse.stem  # dbt's views name their database so
    databases = {
        INSIDE: (building / DATABASE_NAME, STORAGE_VERSION),
        SHARED: (building / SHARED_NAME, SHARED_STORAGE_VERSION),
    }
    state = State.of(warehouse)
    with contextlib.closing(duckdb.connect()) as con:
        con.execute(f"set temp_directory = {text(str(building / 'spill'))}")
        con.execute(f"attach {text(str(warehouse))} as {name(source)} (read_only)")
        marts = find_marts(con, warehouse, chosen, contract)
        base = _former(versions.current_version(published_dir), warehouse, change, window, marts)
        for alias, (path, storage) in databases.items():
            if base:
                copy_file(base.folder / path.name, path)
            options = f"storage_version '{storage}'"
            if alias == INSIDE and not base:  # a copy keeps its own
                options += f", block_size {BLOCK_BYTES}"
            con.execute(f"attach {text(str(path))} as {alias} ({options})")
        parquet = ParquetFiles(con, f"{INSIDE}.main", building, base)
        tables = []
        for done, mart in enumerate(marts):
            if progress:
                progress(mart.name, done, len(marts))
            dates = dates_to_write(mart, base, change)
            write_table(con, mart, f"{name(source)}.{MARTS_SCHEMA}", f"{INSIDE}.main", dates)
            if mart.shared:
                write_table(con, mart.for_others(), f"{INSIDE}.main", f"{SHARED}.main", dates)
            (rows,) = con.execute(f"select count(*) from {INSIDE}.main.{name(mart.name)}").fetchall()[0]
            tables.append(PublishedTable(mart, int(rows), tuple(parquet.write(mart, dates)), dates))
        for alias in databases:
            con.execute(f"checkpoint {alias}")
            con.execute(f"detach {alias}")
    shutil.rmtree(building / "spill", ignore_errors=True)
    if progress:
        progress("", len(marts), len(marts))
    rules = change.rules if change and change.after == state else None
    told = {"database": databases[INSIDE], "shared": databases[SHARED]}
    write_manifest(building, version, window, rules, told, tables, state, base)
    return tuple(tables), base


def _load(
    postgres: MartsDatabase, folder: Path, tables: Sequence[PublishedTable], base: Former | None
) -> tuple[Loaded | None, str | None]:
    """What the version's load into PostgreSQL did, or why it did nothing."""
    manifest = read_manifest(folder)
    assert manifest is not None
    marts = [table.mart.for_others() for table in tables if table.mart.shared]
    written = {table.name: table.written for table in tables} if base else None
    before = base.shared_sha256 if base else None
    try:
        return load(postgres, folder / SHARED_NAME, manifest, marts, written, before), None
    except MartsDatabaseError as error:
        _log.warning("%s", error)
        return None, str(error)


def _former(
    folder: Path | None, warehouse: Path, change: Change | None, window: str | None, marts: Sequence[Mart]
) -> Former | None:
    """The version to go on from, where there is one."""
    told = read_manifest(folder)

    def is_same_shape(tables: Mapping[str, dict[str, Any]]) -> bool:
        return tables.keys() == {mart.name for mart in marts} and all(
            has_shape(tables[mart.name], mart) for mart in marts
        )

    return former(folder, told, warehouse, change, window, is_same_shape)


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
    return (
        f"could not publish {warehouse} under {published_dir}: {text}. Readers keep the version they have: "
        "mend that and publish again"
    )
