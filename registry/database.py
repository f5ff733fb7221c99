"""The connection to the registry: SQLite in the data folder, or PostgreSQL through `EARSHOT_REGISTRY`."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, func, make_url, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from ingest.feeds.schema import canonical_json
from ingest.settings import PREFIX, STRAY_AT, SettingError, has_stray_at
from registry import migrations

SETTING = f"{PREFIX}REGISTRY"
FILE_NAME = "registry.db"

_SQLITE_NEEDED = (3, 38)  # `->>`; returning came in 3.35
BUSY_S = 30  # how long a writer waits for another: a bulk load commits every second or so
_CACHE_KB = 64 * 1024  # a million podcasts' indexes are written out of order: kept in memory they cost less
_CHECKPOINT_PAGES = 16 * 1024  # 64 MB: a page that a load changes again and again goes home once
_CONNECT_S = 10
_EXAMPLE = "postgresql://user:password@host/database"
_WRITES = "earshot_writes"


def connect(url: str | None, data: Path) -> Engine:
    """The registry at `url`, else `<data>/registry.db`, migrated when behind.

    Safe when several processes do it at once. Raises SettingError, which never shows a password.
    """
    where = _place(url, data)
    if where.get_backend_name() == "sqlite" and sqlite3.sqlite_version_info < _SQLITE_NEEDED:
        needed = ".".join(map(str, _SQLITE_NEEDED))
        raise SettingError(_refusal(where, f"SQLite {sqlite3.sqlite_version} is older than {needed}"))
    if not url:
        data.mkdir(parents=True, exist_ok=True)
        (data / FILE_NAME).touch(mode=0o600)  # it holds the secrets of endpoints
    engine = _engine(where)
    with _told(where, engine):
        _migrate(engine)
    return engine


def is_current(url: str | None, data: Path) -> bool:
    """Whether the registry, which is there, needs no migration. Raises SettingError as `connect` does."""
    where = _place(url, data)
    engine = _engine(where)
    with _told(where, engine), engine.connect() as connection:
        known = migrations.is_current(connection)
    engine.dispose()
    return known


@contextlib.contextmanager
def connected(url: str | None, data: Path) -> Iterator[Engine]:
    """`connect`, and no connection left at the end."""
    engine = connect(url, data)
    try:
        yield engine
    finally:
        engine.dispose()


@contextlib.contextmanager
def unmigrated(url: str | None, data: Path) -> Iterator[Engine]:
    """The registry as it is, at whatever revision; no connection left at the end. Raises SettingError."""
    where = _place(url, data)
    engine = _engine(where)
    try:
        with _told(where, engine):
            engine.connect().close()
        yield engine
    finally:
        engine.dispose()


@contextlib.contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that writes, committed at the end; in SQLite the only one, waited for up to BUSY_S."""
    with engine.connect().execution_options(**{_WRITES: True}) as connection, connection.begin():
        yield connection


def is_sqlite(connection: Connection) -> bool:
    return connection.dialect.name == "sqlite"


def insert_into(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An insert that may say `on conflict`: both databases write it alike, SQLAlchemy keeps them apart."""
    return sqlite.insert(table) if is_sqlite(connection) else postgresql.insert(table)


def alone(connection: Connection, what: str) -> None:
    """Until the end of the transaction no other does `what`; in SQLite nobody else writes anyway."""
    if not is_sqlite(connection):
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"earshot {what}"))))


def described(url: str | None, data: Path) -> str:
    """Which registry is meant, for people; without a password. Raises SettingError."""
    return _shown(_place(url, data))


@contextlib.contextmanager
def _told(where: URL, engine: Engine) -> Iterator[None]:
    """What fails becomes a SettingError, and the engine is disposed of."""
    try:
        yield
    except (DBAPIError, migrations.TooNew) as error:
        engine.dispose()
        reason = str(error.orig if isinstance(error, DBAPIError) else error)
        if isinstance(error, OperationalError):
            reason = f"{reason.rstrip()}: {advice(reason)}"
        raise SettingError(
            _refusal(where, " ".join(reason.split()))
        ) from None  # the cause's text may hold what we hide


def _migrate(engine: Engine) -> None:
    with engine.connect() as connection:
        if migrations.is_current(connection):
            return
    with writing(engine) as connection:
        alone(connection, "migration")
        if not migrations.is_current(connection):  # another process may have done it meanwhile
            migrations.upgrade(connection)


def _place(url: str | None, data: Path) -> URL:
    return _checked(url) if url else URL.create("sqlite", database=str(data / FILE_NAME))


def _checked(text: str) -> URL:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # what they say may hold a part of the password
        raise SettingError(f"setting {SETTING} cannot be used: no database URL such as {_EXAMPLE}") from None
    if not url.drivername.startswith("sqlite") and has_stray_at(url.host, url.database):
        raise SettingError(f"setting {SETTING} cannot be used: {STRAY_AT}")
    driver = url.drivername
    if driver in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg2")
    elif driver not in ("postgresql+psycopg2", "sqlite", "sqlite+pysqlite"):
        raise SettingError(_refusal(url, f"{driver} is neither sqlite nor postgresql"))
    if driver.startswith("sqlite") and (url.database or ":memory:") == ":memory:":
        raise SettingError(_refusal(url, "it names no file, and each process would have its own registry"))
    return url


# What SQLite says of its file, and what to do. A full disk may come as either of two.
_SQLITE_ADVICE = {
    "is full": "free some space and run it again: nothing is lost",
    "disk I/O error": "is the disk full? Free some space, else look at the system's log, and run it again: "
    "nothing is lost",
    "readonly": "make it and its folder writable for this user and run it again: nothing is lost",
    "unable to open": "make its folder readable and writable for this user and run it again: nothing is lost",
    "malformed": "it is damaged: restore it from a backup (docs/operations.md)",
    "not a database": "it is damaged: restore it from a backup (docs/operations.md)",
}


def advice(reason: str) -> str:
    """What to do where a database said `reason`."""
    found = next((found for sign, found in _SQLITE_ADVICE.items() if sign in reason), None)
    return (
        found or "where Dagster runs it is asked again by itself; `earshot doctor` tells whether it answers"
    )


def _refusal(url: URL, reason: str) -> str:
    for secret in (url.password, url.query.get("password")):
        if isinstance(secret, str) and secret:
            reason = reason.replace(secret, "***")
    return f"setting {SETTING} = {_shown(url)} cannot be used: {reason}"


def _shown(url: URL) -> str:
    return url.set(query={}).render_as_string(hide_password=True)  # a query may hold the password, too


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "postgresql":
        return create_engine(
            url,
            json_serializer=canonical_json,  # equal values are equal text: found and compared as such
            pool_pre_ping=True,  # a server restart costs nobody an error
            connect_args={"connect_timeout": _CONNECT_S, "application_name": "earshot"},
        )
    engine = create_engine(url, json_serializer=canonical_json, connect_args={"timeout": BUSY_S})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _: Any) -> None:
    connection.isolation_level = None  # transactions begin where we say, also around DDL
    for pragma in (
        f"busy_timeout = {BUSY_S * 1000}",
        "foreign_keys = on",
        f"cache_size = -{_CACHE_KB}",
        "temp_store = memory",
        f"wal_autocheckpoint = {_CHECKPOINT_PAGES}",
    ):
        connection.execute(f"pragma {pragma}")
    _use_wal(connection)


def _use_wal(connection: sqlite3.Connection) -> None:
    """Readers do not wait for a writer. The switch itself, done once a file, heeds no busy timeout."""
    give_up = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("pragma journal_mode = wal")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(0.02)


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and then writes fails, instead of waiting, when another wrote meanwhile.
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("begin immediate" if writes else "begin")
