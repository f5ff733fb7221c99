"""Dagster's PostgreSQL storage with its connections kept, and with patience when the server is away.

The stock one connects anew for every statement and looks at its tables whenever an instance is opened, which
every tick of a sensor does; and a server that restarts fails whatever is being written then. Here each
process keeps one pool, `earshot run` has prepared the tables, a connection that died is replaced, and what
could not be written because the server was away is written again, for PATIENCE_S.
"""

from __future__ import annotations

import functools
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import dagster as dg
import sqlalchemy as db
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.event_log import PostgresEventLogStorage
from dagster_postgres.run_storage import PostgresRunStorage
from dagster_postgres.schedule_storage import PostgresScheduleStorage
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError, OperationalError

from orchestration.postgres import CONNECT_S, storage_url

PATIENCE_S = 120.0  # a server's restart or failover
TELL_EACH_S = 10.0
_PAUSE_S = 0.5
_KEPT, _MORE = 2, 30  # connections of a process: those that stay open, and how many more at once

_engines: dict[str, Engine] = {}
_patience_s = PATIENCE_S
_told_at: float | None = None  # when this process last said that the server is away; monotonic

Method = TypeVar("Method", bound=Callable[..., Any])


def engine(url: str) -> Engine:
    """This process's engine of the server."""
    found = _engines.get(url)
    if found is None:
        found = _engines[url] = db.create_engine(
            url,
            isolation_level="AUTOCOMMIT",
            pool_size=_KEPT,
            max_overflow=_MORE,
            pool_pre_ping=True,  # a connection that died while it was kept costs nobody an error
            connect_args={"connect_timeout": CONNECT_S, "application_name": "earshot-dagster"},
        )
    return found


def forget_engines() -> None:
    """In a forked child: a connection must not be used on both sides of a fork, nor closed by one."""
    for each in _engines.values():
        each.dispose(close=False)
    _engines.clear()


os.register_at_fork(after_in_child=forget_engines)


def is_away(error: DBAPIError) -> bool:
    """Whether the server was not there, or went away, rather than refused what was asked."""
    code = getattr(error.orig, "pgcode", None)
    if code is None:  # nothing was answered: no connection, or one that broke
        return error.connection_invalidated or isinstance(error, OperationalError)
    return str(code).startswith(("57P", "08"))  # shutting down, starting up; connection exceptions


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """A connection; waited for while the server is away."""
    with _waiting_for(engine(url).connect) as connection:
        yield connection


def _waiting_for(work: Callable[[], Any]) -> Any:
    give_up = time.monotonic() + _patience_s
    while True:
        try:
            return work()
        except DBAPIError as error:
            if not is_away(error) or time.monotonic() > give_up:
                raise
            _tell_away(error)
            time.sleep(_PAUSE_S)


def _tell_away(error: DBAPIError) -> None:
    """At most once in TELL_EACH_S: each thread of a process asks twice a second."""
    global _told_at
    now = time.monotonic()
    if _told_at is None or now - _told_at >= TELL_EACH_S:
        _told_at = now
        logging.getLogger("earshot").warning("PostgreSQL of Dagster is away: %s", _first_line(error))


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().partition("\n")[0]


def again(method: Method) -> Method:
    """What the server's end cut off is done once more when it is back.

    Should the statement have been carried out just before, an event stands twice in the log, which says the
    same; the other methods put a state in its place and are the same when done twice.
    """

    @functools.wraps(method)
    def patient(*arguments: Any, **named: Any) -> Any:
        return _waiting_for(lambda: method(*arguments, **named))

    return cast(Method, patient)


class _Runs(PostgresRunStorage):
    def __init__(self, url: str) -> None:
        super().__init__(url, should_autocreate_tables=False)
        self._engine = engine(url)

    def connect(self) -> Any:
        return connected(self.postgres_url)

    def optimize_for_webserver(self, statement_timeout: int, pool_recycle: int, max_overflow: int) -> None:
        _be_quick(statement_timeout, self.postgres_url)

    # Tables are prepared before anything starts: they have what the stock storage looks for each time.
    def has_run_stats_index_cols(self) -> bool:
        return True

    def has_bulk_actions_selector_cols(self) -> bool:
        return True

    def has_backfill_id_column(self) -> bool:
        return True

    def has_bulk_action_job_name_column(self) -> bool:
        return True

    def has_backfill_tags_table(self) -> bool:
        return True

    @again
    def handle_run_event(self, *arguments: Any, **named: Any) -> None:
        super().handle_run_event(*arguments, **named)

    @again
    def add_daemon_heartbeat(self, daemon_heartbeat: Any) -> None:
        super().add_daemon_heartbeat(daemon_heartbeat)

    @again
    def get_run_records(self, *arguments: Any, **named: Any) -> Any:
        return super().get_run_records(*arguments, **named)


class _Schedules(PostgresScheduleStorage):
    def __init__(self, url: str) -> None:
        super().__init__(url, should_autocreate_tables=False)
        self._engine = engine(url)

    def connect(self, run_id: str | None = None) -> Any:
        return connected(self.postgres_url)

    def optimize_for_webserver(self, statement_timeout: int, pool_recycle: int, max_overflow: int) -> None:
        _be_quick(statement_timeout, self.postgres_url)

    def has_instigators_table(self) -> bool:
        return True

    def _has_instigators_table(self, conn: Connection) -> bool:
        return True

    @again
    def update_tick(self, *arguments: Any, **named: Any) -> Any:
        return super().update_tick(*arguments, **named)


class _Events(PostgresEventLogStorage):
    def __init__(self, url: str) -> None:
        super().__init__(url, should_autocreate_tables=False)
        self._engine = engine(url)

    def _connect(self) -> Any:
        return connected(self.postgres_url)

    def optimize_for_webserver(self, statement_timeout: int, pool_recycle: int, max_overflow: int) -> None:
        _be_quick(statement_timeout, self.postgres_url)

    def has_asset_key_col(self, column_name: str) -> bool:
        return True

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        return True

    @again
    def store_event(self, *arguments: Any, **named: Any) -> None:
        super().store_event(*arguments, **named)

    @again
    def store_event_batch(self, *arguments: Any, **named: Any) -> None:
        super().store_event_batch(*arguments, **named)

    @again
    def get_records_for_run(self, *arguments: Any, **named: Any) -> Any:
        return super().get_records_for_run(*arguments, **named)


def _be_quick(statement_timeout_ms: int, url: str) -> None:
    """In the webserver: people wait, so neither a statement nor the server is waited for as long."""
    global _patience_s
    _patience_s = CONNECT_S
    kept = engine(url)
    if not getattr(kept, "_is_quick", False):

        @db.event.listens_for(kept, "connect")
        def limit(connection: Any, _: Any) -> None:
            with connection.cursor() as cursor:
                cursor.execute(f"set statement_timeout = {int(statement_timeout_ms)}")

        kept._is_quick = True  # type: ignore[attr-defined]
        kept.dispose()  # those that are open know no limit


class PostgresStorage(DagsterPostgresStorage):
    """`storage: custom:` of deploy/dagster.yaml."""

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        super(DagsterPostgresStorage, self).__init__()  # type: ignore[no-untyped-call]
        url = storage_url(postgres_url).render_as_string(hide_password=False)
        self.postgres_url = url
        self.should_autocreate_tables = False
        self._inst_data = inst_data
        self._run_storage = _Runs(url)
        self._event_log_storage = _Events(url)
        self._schedule_storage = _Schedules(url)

    @classmethod
    def config_type(cls) -> Any:
        return {"postgres_url": dg.StringSource}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> PostgresStorage:
        return cls(inst_data=inst_data, **config_value)
