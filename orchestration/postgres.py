"""Dagster's own records in PostgreSQL: where they are, how they are made and brought up to date.

They lie in a schema of their own: the registry may share the database, and both have an `alembic_version`.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import sqlalchemy as db
from dagster.version import __version__ as dagster_version
from sqlalchemy import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from ingest.installation import PATTERN, AnotherInstallation
from ingest.settings import PREFIX, SettingError

SCHEMA = "dagster"
SETTING = f"{PREFIX}DAGSTER_DB"
EXAMPLE = "postgresql://user@host/database"
CONNECT_S = 10
_LOCK = 0x6461677374  # one process at a time makes or changes the tables: "dagst" as a number
# The schema's comment: prepared for which Dagster, whose.
_MARK = f"Earshot's Dagster {dagster_version}"
_OWNED = ", installation "
_TABLES = ("runs", "event_logs", "jobs", "daemon_heartbeats", "alembic_version")  # some of each storage
_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg2")


def storage_url(text: str) -> URL:
    """The URL Dagster connects to: its driver named, its schema first. Raises SettingError."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # what they say may hold a part of the password
        raise SettingError(f"setting {SETTING} cannot be used: no database URL such as {EXAMPLE}") from None
    if "@" in (url.host or ""):  # as in registry/database.py
        raise SettingError(
            f"setting {SETTING} cannot be used: its password holds an @, so that its end is taken for the "
            "host; write it as %40"
        )
    if url.drivername not in _SCHEMES:
        raise SettingError(f"setting {SETTING} cannot be used: {url.drivername} is not postgresql")
    given = url.query.get("options", "")
    options = " ".join([given] if isinstance(given, str) else given)
    # Without the driver's name another SQLAlchemy takes another driver.
    return url.set(drivername="postgresql+psycopg2").update_query_dict(
        {"options": f"{options} -csearch_path={SCHEMA}".strip()}
    )


def shown(url: URL) -> str:
    """For people; without a password, wherever it stands."""
    return url.set(query={}).render_as_string(hide_password=True)


def prepare_database(text: str, installation: str, take_over: bool = False) -> bool:
    """Make Dagster's tables, or bring them to the schema of this Dagster; whether anything was to do.

    installation: whose they are from then on (ingest.installation). Safe to call again, after a crash in its
    middle, and from several processes at once. Raises SettingError: the server cannot be used;
    AnotherInstallation: they are another's, and not to be taken over.
    """
    with _engine(text) as engine, engine.connect() as alone:
        alone.execute(db.text("select pg_advisory_lock(:number)"), {"number": _LOCK})
        owner, ready = _owner(alone), is_prepared(alone)
        if owner not in (None, installation) and not take_over:
            raise AnotherInstallation(_where(engine.url), owner or "")
        if ready and owner == installation:
            return False
        if not db.inspect(alone).has_schema(SCHEMA):
            alone.execute(db.text(f"create schema {SCHEMA}"))
        if not ready:
            _tell(alone, f"{_OWNED}{installation}")  # nobody else begins meanwhile, or after a crash
            _make_or_upgrade(engine.url)
        # Last: a preparation that was interrupted before this is made again, and each step of it may be.
        _tell(alone, f"{_MARK}{_OWNED}{installation}")
        return True


def is_prepared_at(text: str) -> bool:
    """Whether `prepare_database` has no tables to make. Raises SettingError: it does not answer."""
    with _engine(text) as engine, engine.connect() as connection:
        return is_prepared(connection)


def is_prepared(connection: Connection) -> bool:
    if (_comment(connection) or "").partition(_OWNED)[0] != _MARK:
        return False
    return set(_TABLES) <= set(db.inspect(connection).get_table_names(SCHEMA))


def refuse_another(text: str, installation: str | None) -> None:
    """Raises AnotherInstallation where the tables are another's, SettingError; changes nothing.

    installation: None where the data folder has no id yet.
    """
    with _engine(text) as engine, engine.connect() as connection:
        owner = _owner(connection)
        if owner not in (None, installation):
            raise AnotherInstallation(_where(engine.url), owner or "")


def _where(url: URL) -> str:
    return f"{shown(url)}, schema {SCHEMA},"


def _owner(connection: Connection) -> str | None:
    found = re.search(f"{_OWNED}({PATTERN})$", _comment(connection) or "")
    return found[1] if found else None


def _comment(connection: Connection) -> str | None:
    found = connection.execute(
        db.text("select obj_description(oid, 'pg_namespace') from pg_namespace where nspname = :name"),
        {"name": SCHEMA},
    ).scalar()
    return None if found is None else str(found)


def _tell(connection: Connection, comment: str) -> None:
    connection.execute(db.text(f"comment on schema {SCHEMA} is $${comment}$$"))
    connection.commit()


@contextlib.contextmanager
def _engine(text: str) -> Iterator[Engine]:
    url = storage_url(text)
    engine = db.create_engine(url, connect_args={"connect_timeout": CONNECT_S}, poolclass=db.pool.NullPool)
    try:
        yield engine
    except DBAPIError as error:
        told = f"setting {SETTING} = {shown(url)} cannot be used: {reason(error, url)}"
        raise SettingError(told) from None
    finally:
        engine.dispose()


def reason(error: DBAPIError, url: URL) -> str:
    """What the server said, in one line and without the password."""
    told = " ".join(str(error.orig).split())
    for secret in (url.password, url.query.get("password")):
        if isinstance(secret, str) and secret:
            told = told.replace(secret, "***")
    return told


def _make_or_upgrade(url: URL) -> None:
    """As Dagster does on first use, then as `dagster instance migrate` and `reindex` do."""
    from dagster_postgres import DagsterPostgresStorage

    storage = DagsterPostgresStorage(url.render_as_string(hide_password=False))
    events, runs, schedules = (
        storage.event_log_storage,
        storage.run_storage,
        storage.schedule_storage,
    )
    storage._run_storage.upgrade()
    storage._event_log_storage.upgrade()
    storage._schedule_storage.upgrade()
    events.reindex_events()
    events.reindex_assets()
    for each in (runs, schedules):
        each.migrate()
        each.optimize()
