"""The registry as files: SQLite by its online backup, PostgreSQL by COPY of each table in one snapshot."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, inspect, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from earshot.backup.manifest import NO_REGISTRY, POSTGRESQL, REGISTRY_FILE, SQLITE, TABLES, BackupError
from ingest.settings import SettingError, Settings
from registry import migrations
from registry.database import connected, unmigrated, writing

_VERSIONS, _SEQUENCES = "alembic_version", "sequences.json"


def is_in_postgresql(settings: Settings) -> bool:
    return settings.registry is not None and settings.registry.startswith("postgres")


def save(settings: Settings, into: Path) -> tuple[str, str | None]:
    """Copy the registry below `into` while others use it; returns (which kind, its Alembic revision).

    Raises SettingError where it does not answer.
    """
    if is_in_postgresql(settings):
        with unmigrated(settings.registry, settings.data) as engine, engine.connect() as connection:
            snapshot = connection.execution_options(isolation_level="REPEATABLE READ")
            with snapshot.begin():
                return POSTGRESQL, _save_tables(snapshot, into / TABLES)
    file = settings.data / REGISTRY_FILE
    if settings.registry:
        file = Path(make_url(settings.registry).database or "")
    if not file.is_file():
        return NO_REGISTRY, None
    return SQLITE, _save_file(file, into / REGISTRY_FILE)


def _save_file(file: Path, copy: Path) -> str | None:
    copy.touch(mode=0o600)
    with (
        contextlib.closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as source,
        contextlib.closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)
        target.execute("pragma journal_mode = delete")  # one file, without a log beside it
        (found,) = target.execute("pragma integrity_check").fetchone()
        if found != "ok":
            raise BackupError(f"the registry {file} is damaged ({found}): restore it from an earlier backup")
        is_ours = target.execute("select 1 from sqlite_master where name = ?", [_VERSIONS]).fetchone()
        row = target.execute(f"select version_num from {_VERSIONS}").fetchone() if is_ours else None
    return str(row[0]) if row else None


def _save_tables(connection: Connection, folder: Path) -> str | None:
    folder.mkdir(mode=0o700)
    names = _tables(connection)
    if _VERSIONS not in names:
        return None
    with _cursor(connection) as cursor:
        for name in names:
            if name != _VERSIONS:
                with _private(folder / f"{name}.copy") as out:
                    cursor.copy_expert(f"copy {_columns(connection, name)} to stdout", out)
    with _private(folder / _SEQUENCES) as out:
        out.write(json.dumps(_sequences(connection, names)).encode())
    return str(connection.execute(text(f"select version_num from {_VERSIONS}")).scalar())


def load(settings: Settings, folder: Path, revision: str | None, identity: str) -> int:
    """Fill the empty PostgreSQL of EARSHOT_REGISTRY; returns how many tables. All of it, or nothing.

    folder: with a file a table. The tables are made as the backup had them, filled, then migrated. identity:
    of the backup; a database that a killed restore of the same one filled is left as it is. Raises
    BackupError for a database that holds something else, SettingError for one that does not answer.
    """
    with unmigrated(settings.registry, settings.data) as engine, writing(engine) as connection:
        if there := _tables(connection):
            if _mark(connection) == identity:
                return len(there) - 1
            raise BackupError(
                "the database of EARSHOT_REGISTRY holds tables already: create an empty one and name it"
            )
        if revision is None:
            return 0
        migrations.upgrade(connection, revision)
        names = [name for name in _tables(connection) if name != _VERSIONS]
        absent = [name for name in names if not (folder / f"{name}.copy").is_file()]
        if absent:
            raise BackupError(f"the backup lacks the registry's tables {', '.join(absent)}")
        for name in reversed(names):  # what migrations put there is in the copies, too
            connection.execute(text(f'delete from "{name}"'))
        with _cursor(connection) as cursor:
            for name in names:
                with (folder / f"{name}.copy").open("rb") as rows:
                    cursor.copy_expert(f"copy {_columns(connection, name)} from stdin", rows)
        for sequence, (last, is_called) in json.loads((folder / _SEQUENCES).read_bytes()).items():
            connection.execute(
                text("select setval(cast(:sequence as regclass), :last, :called)"),
                {"sequence": sequence, "last": last, "called": is_called},
            )
        _set_mark(connection, f"'{identity}'")
    with connected(settings.registry, settings.data):  # migrates what is older than this Earshot
        return len(names)


def settle(settings: Settings) -> None:
    """The folder that belongs to a filled database has its place: nobody may take the two for halves.

    Where the database does not answer the mark stays, which a restore of this very backup alone asks for.
    """
    with (
        contextlib.suppress(SettingError, SQLAlchemyError),
        unmigrated(settings.registry, settings.data) as engine,
        writing(engine) as connection,
    ):
        if _mark(connection):
            _set_mark(connection, "null")


def _mark(connection: Connection) -> str | None:
    """The identity of the backup that filled these tables, while its folder may not have its place yet."""
    found = connection.execute(
        text(f"select obj_description(to_regclass('{_VERSIONS}'), 'pg_class')")
    ).scalar()
    return None if found is None else str(found)


def _set_mark(connection: Connection, literal: str) -> None:
    connection.execute(text(f"comment on table {_VERSIONS} is {literal}"))


def _tables(connection: Connection) -> list[str]:
    """All of them, those that others refer to first."""
    return [name for name, _ in inspect(connection).get_sorted_table_and_fkc_names() if name is not None]


def _columns(connection: Connection, table: str) -> str:
    """`"table" ("column", …)`: by name, for their order may differ after migrations."""
    names = ", ".join(f'"{column["name"]}"' for column in inspect(connection).get_columns(table))
    return f'"{table}" ({names})'


def _sequences(connection: Connection, tables: list[str]) -> dict[str, tuple[int, bool]]:
    """Sequence → (last value, whether it was given): an id is never given again."""
    found: dict[str, tuple[int, bool]] = {}
    for table in tables:
        for column in inspect(connection).get_columns(table):
            row: Any = connection.execute(
                text("select pg_get_serial_sequence(:table, :column)"),
                {"table": f'"{table}"', "column": column["name"]},
            ).scalar()
            if row:
                last, called = connection.execute(text(f"select last_value, is_called from {row}")).one()
                found[str(row)] = (int(last), bool(called))
    return found


@contextlib.contextmanager
def _cursor(connection: Connection) -> Iterator[Any]:
    """psycopg2's own, within the transaction of `connection`: SQLAlchemy knows no COPY."""
    with contextlib.closing(connection.connection.cursor()) as cursor:
        yield cursor


@contextlib.contextmanager
def _private(path: Path) -> Iterator[IO[bytes]]:
    path.touch(mode=0o600)
    with path.open("wb") as out:
        yield out
