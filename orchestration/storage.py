"""Dagster's SQLite storage with its connections kept.

The stock one makes a new engine for every statement, so that each is compiled anew, and compares its schema
with all migration scripts whenever an instance is opened, which every tick of a sensor does: † opening one
and asking two things takes 130 ms of CPU, here 27; a small job's events 0.9 s, here 0.25. Here engines live
as long as their process, the schema is looked at once for a version of Dagster, and the log of a run begins
as a copy of an empty one. The files are those of the stock storage, which can open them as well.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as db
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.sqlite_storage import (
    DagsterSqliteStorage,
    _event_logs_directory,
    _runs_directory,
    _schedule_directory,
)
from dagster._serdes import ConfigurableClassData
from dagster.version import __version__ as dagster_version
from sqlalchemy.engine import Connection, Engine

from ingest.durable import locked, replacing

MAX_ENGINES = 16  # a webserver reads the log of one run after another
EMPTY_LOG = "empty-log"

_engines: dict[str, Engine] = {}


def engine(conn_string: str) -> Engine:
    """This process's engine of a database; the one used longest ago makes room."""
    found = _engines.pop(conn_string, None)
    if found is None:
        found = db.create_engine(conn_string, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS})
    _engines[conn_string] = found
    while len(_engines) > MAX_ENGINES:
        # Connections in use elsewhere stay whole; the pool forgets only those that wait.
        _engines.pop(next(iter(_engines))).dispose()
    return found


def forget_engines() -> None:
    """In a forked child: SQLite's connections must not be used on both sides of a fork."""
    for each in _engines.values():
        each.dispose(close=False)
    _engines.clear()


os.register_at_fork(after_in_child=forget_engines)


class _Runs(SqliteRunStorage):
    @contextmanager
    def connect(self) -> Iterator[Connection]:
        with engine(self._conn_string).begin() as connection:
            yield connection

    def has_run_stats_index_cols(self) -> bool:
        return True


class _Schedules(SqliteScheduleStorage):
    @contextmanager
    def connect(self) -> Iterator[Connection]:
        with engine(self._conn_string).begin() as connection:
            yield connection

    # As in every database of a Dagster that we have ever required; the stock storage looks each time.
    def has_instigators_table(self) -> bool:
        return True

    def _has_instigators_table(self, conn: Connection) -> bool:
        return True


class _Events(SqliteEventLogStorage):
    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            if shard not in self._initialized_dbs:
                if shard != INDEX_SHARD_NAME:
                    self._begin(Path(self.path_for_shard(shard)))
                self._initialized_dbs.add(shard)
            with engine(self.conn_string_for_shard(shard)).begin() as connection:
                yield connection

    def _begin(self, log: Path) -> None:
        """A new run's log; whichever process comes first makes it."""
        if log.exists():
            return
        mine = log.with_name(f".{log.name}.{os.getpid()}.new")
        shutil.copyfile(log.parent.parent / f"{EMPTY_LOG}.db", mine)
        with suppress(FileExistsError):
            os.link(mine, log)
        mine.unlink()

    def wipe(self) -> None:
        super().wipe()
        for each in _engines.values():
            each.dispose()
        _engines.clear()


class KeptStorage(DagsterSqliteStorage):
    """`storage: custom:` of our dagster.yaml."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        _prepare(base_dir)
        super(DagsterSqliteStorage, self).__init__()  # type: ignore[no-untyped-call]
        self.base_dir = base_dir
        self._inst_data = inst_data
        self._run_storage = _Runs(_url(_runs_directory(base_dir), "runs"))
        self._event_log_storage = _Events(_event_logs_directory(base_dir))
        self._schedule_storage = _Schedules(_url(_schedule_directory(base_dir), "schedules"))

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Any) -> KeptStorage:
        return cls(inst_data=inst_data, **config_value)


def _prepare(base_dir: str) -> None:
    """Bring the databases to the schema of this Dagster, once; the stock storage knows how."""
    folder = Path(base_dir)
    ready = folder / f"ready-{dagster_version}"
    if ready.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".lock"):
        if ready.exists():
            return
        DagsterSqliteStorage(base_dir)
        empty = Path(_runs_directory(base_dir)) / f"{EMPTY_LOG}.db"
        made = SqliteEventLogStorage(str(folder / "making"))
        with made.run_connection(EMPTY_LOG):
            pass
        with replacing(empty) as copy:
            shutil.copyfile(made.path_for_shard(EMPTY_LOG), copy)
        shutil.rmtree(folder / "making")
        ready.touch()


def _url(folder: str, name: str) -> str:
    return f"sqlite:///{Path(folder).absolute() / name}.db"
