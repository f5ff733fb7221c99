"""The shared marts in PostgreSQL: the schema `marts`, always one published version and never half of one.

A version is loaded into a schema beside and takes its place in the same transaction: readers wait for
nothing, and whoever is in the middle of a query ends it on the tables it began with. Where the version before
is there and little differs (serving/change.py), only that is replaced, again in one transaction. What fails
leaves the former version as it was. How rows get there: docs/decisions/0020.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
from psycopg2 import errors, sql

from ingest.settings import Settings
from serving.copying import Dates, Mart, name, on, text
from serving.postgres_tables import copy_rows, create_table, fingerprint, finish_table
from serving.postgres_words import explain

SCHEMA, BESIDE, FORMER = "marts", "marts_new", "marts_old_"
VERSION_TABLE, TABLES_TABLE = "published_version", "published_marts"
_READER = "Readable by "  # begins the schema's comment: whose rights end when the setting changes
SOURCE = "shared"  # the version's database, while it is attached
CONNECT_S, LOCK_S = 10, 30
_LOCK = 0x6561727368  # one publication at a time: "earsh" as a number


class MartsDatabaseError(RuntimeError):
    """PostgreSQL has the version before; the message says why and what to do."""


@dataclass(frozen=True)
class MartsDatabase:
    """Where the schema `marts` is kept, and the role that may read it."""

    url: str = field(repr=False)  # may hold a password
    reader: str | None = None


def marts_database(settings: Settings) -> MartsDatabase | None:
    """That of EARSHOT_MARTS_DB; None where it is not set."""
    return MartsDatabase(settings.marts_db, settings.marts_db_reader) if settings.marts_db else None


@dataclass(frozen=True)
class Loaded:
    """What a load did."""

    rows: int  # written, not those that were there already
    is_whole: bool
    seconds: float
    kept_for: tuple[str, ...]  # what others made upon former tables, which are kept for it

    @property
    def told(self) -> str:
        """As a sentence."""
        how = "all of it" if self.is_whole else "what changed"
        kept = (
            f"; kept former tables, since {', '.join(self.kept_for)} rests on them" if self.kept_for else ""
        )
        return f"{self.rows:,} rows ({how}) in {self.seconds:.1f} s{kept}"


def load(
    database: MartsDatabase,
    shared: Path,
    version: Mapping[str, Any],
    marts: list[Mart],
    written: Mapping[str, Dates] | None = None,
    former_sha256: str | None = None,
) -> Loaded:
    """Bring the schema up to the version whose shared.duckdb is `shared` and whose manifest is `version`.

    marts: those others may have. written: what of each differs from the version with former_sha256; without
    it, and where PostgreSQL has another version, all is loaded. Raises MartsDatabaseError.
    """
    began = time.monotonic()
    with (
        _connected(database) as cursor,
        contextlib.closing(duckdb.connect()) as con,
    ):
        cursor.execute("select pg_advisory_lock(%s)", [_LOCK])
        con.execute(f"attach {text(str(shared.resolve()))} as {SOURCE} (read_only)")
        return _Load(con, cursor, database.reader, version, marts).run(written, former_sha256, began)


def version_there(database: MartsDatabase) -> int | None:
    """The version PostgreSQL has; None without one. Raises MartsDatabaseError."""
    with _connected(database) as cursor:
        cursor.execute("select to_regclass(%s) is not null", [f"{SCHEMA}.{VERSION_TABLE}"])
        if not cursor.fetchone()[0]:
            return None
        cursor.execute(f"select version from {SCHEMA}.{VERSION_TABLE}")
        return int(cursor.fetchone()[0])


@contextlib.contextmanager
def _connected(database: MartsDatabase) -> Iterator[Any]:
    """A cursor of a connection that ends with the block; what fails in it is told as MartsDatabaseError."""
    try:
        parameters = psycopg2.extensions.parse_dsn(database.url)
    except psycopg2.Error:  # what it says repeats the address, password and all
        raise MartsDatabaseError(
            "EARSHOT_MARTS_DB is no address of a database: write postgresql://user:password@host/database"
        ) from None
    if "@" in parameters.get("host", ""):  # what stands before it is the end of a password
        raise MartsDatabaseError(
            "EARSHOT_MARTS_DB cannot be used: its password holds an @, so that its end is taken for the "
            "host; write it as %40"
        )
    defaults = {"connect_timeout": CONNECT_S, "application_name": "earshot", "keepalives_idle": 30}
    try:
        with (
            contextlib.closing(psycopg2.connect(**{**defaults, **parameters})) as server,
            server.cursor() as cursor,
        ):
            cursor.execute(
                f"set lock_timeout = '{LOCK_S}s'; set timezone = 'UTC'; set client_encoding = 'UTF8'"
            )
            server.commit()
            yield cursor
    except (psycopg2.Error, duckdb.Error, OSError) as error:
        raise MartsDatabaseError(explain(error, parameters)) from error


class _Load:
    """One load, over a connection to the version's file and one to the server."""

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        cursor: Any,
        reader: str | None,
        version: Mapping[str, Any],
        marts: list[Mart],
    ) -> None:
        self._con, self._cursor, self._reader = con, cursor, reader
        self._version, self._marts = version, marts

    def run(self, written: Mapping[str, Dates] | None, former_sha256: str | None, began: float) -> Loaded:
        self._find_reader()
        there = self._there()
        if there == self._version["shared"]["sha256"]:
            rows, is_whole = 0, False
        elif written is not None and former_sha256 is not None and there == former_sha256:
            rows, is_whole = self._replace(written), False
        else:
            rows, is_whole = self._beside(), True
        self._grant()
        self._cursor.connection.commit()
        return Loaded(rows, is_whole, time.monotonic() - began, self._clear_away())

    def _there(self) -> str | None:
        """The checksum of the version PostgreSQL has; None without one. A schema of others is not touched."""
        self._cursor.execute("select to_regclass(%s) is not null", [f"{SCHEMA}.{VERSION_TABLE}"])
        (is_ours,) = self._cursor.fetchone()
        if is_ours:
            self._cursor.execute(f"select sha256 from {SCHEMA}.{VERSION_TABLE}")
            found = self._cursor.fetchone()
            return str(found[0]) if found else None
        self._cursor.execute(
            "select count(*) from pg_class where relnamespace = to_regnamespace(%s)", [SCHEMA]
        )
        if self._cursor.fetchone()[0]:
            raise MartsDatabaseError(
                f"the database has a schema `{SCHEMA}` that is not Earshot's, and it was not touched: rename "
                "it, or give Earshot a database of its own in EARSHOT_MARTS_DB"
            )
        return None

    def _beside(self) -> int:
        """All of the version into a new schema, which then takes the place of the former one."""
        self._cursor.execute(f"drop schema if exists {BESIDE} cascade; create schema {BESIDE}")
        rows = 0
        for mart in self._marts:
            create_table(self._cursor, BESIDE, mart)
            rows += copy_rows(self._con, self._cursor, SOURCE, BESIDE, mart, is_new=True)
            finish_table(self._cursor, BESIDE, mart)
        self._cursor.execute(
            f"create table {BESIDE}.{TABLES_TABLE} (mart text primary key, fingerprint text not null);"
            f"create table {BESIDE}.{VERSION_TABLE} (version bigint not null, made_at timestamptz not null,"
            " counting_window text, rules text, sha256 text not null);"
            f"comment on table {BESIDE}.{VERSION_TABLE} is 'One row: the published version these marts are.';"
            f"comment on table {BESIDE}.{TABLES_TABLE} is"
            " 'What the publisher remembers of each mart, to leave alone what has not changed.'"
        )
        for mart in self._marts:
            self._remember(BESIDE, mart, fingerprint(self._con, SOURCE, mart))
        self._sign(BESIDE)
        self._cursor.execute("select coalesce(max(substr(nspname, %s)::bigint), 0) + 1 from pg_namespace"
                             " where nspname ~ %s", [len(FORMER) + 1, f"^{FORMER}[0-9]+$"])  # fmt: skip
        (number,) = self._cursor.fetchone()
        self._cursor.execute("select to_regnamespace(%s) is not null", [SCHEMA])
        if self._cursor.fetchone()[0]:
            self._cursor.execute(f"alter schema {SCHEMA} rename to {FORMER}{number}")
        self._cursor.execute(f"alter schema {BESIDE} rename to {SCHEMA}")
        return rows

    def _replace(self, written: Mapping[str, Dates]) -> int:
        """Only what differs, in the tables that are there: nobody waits, and all of it shows at once."""
        rows = 0
        for mart in self._marts:
            dates = written[mart.name]
            if dates == ():
                continue
            now = fingerprint(self._con, SOURCE, mart)
            self._cursor.execute(
                f"select fingerprint from {SCHEMA}.{TABLES_TABLE} where mart = %s", [mart.name]
            )
            if self._cursor.fetchone() == (now,):
                continue
            where = f" where {on(dates)}" if dates else ""
            self._cursor.execute(f"delete from {SCHEMA}.{name(mart.name)}{where}")
            rows += copy_rows(self._con, self._cursor, SOURCE, SCHEMA, mart, where)
            self._remember(SCHEMA, mart, now)
        self._sign(SCHEMA)
        return rows

    def _remember(self, schema: str, mart: Mart, found: str) -> None:
        self._cursor.execute(
            f"insert into {schema}.{TABLES_TABLE} values (%s, %s)"
            " on conflict (mart) do update set fingerprint = excluded.fingerprint",
            [mart.name, found],
        )

    def _sign(self, schema: str) -> None:
        version = self._version
        self._cursor.execute(f"delete from {schema}.{VERSION_TABLE}")
        self._cursor.execute(
            f"insert into {schema}.{VERSION_TABLE} values (%s, %s, %s, %s, %s)",
            [
                *(version[key] for key in ("version", "made_at", "window", "rules")),
                version["shared"]["sha256"],
            ],
        )

    def _find_reader(self) -> None:
        self._cursor.execute("select count(*) from pg_roles where rolname = %s", [self._reader])
        if self._reader is not None and not self._cursor.fetchone()[0]:
            raise MartsDatabaseError(
                f"there is no role {self._reader!r} to read the marts, so nothing was loaded: create it "
                f"(`create role \"{self._reader}\" login password '…'`) or mend EARSHOT_MARTS_DB_READER"
            )

    def _grant(self) -> None:
        """Let the reader read, where it may not yet, and a former one no more."""
        self._cursor.execute("select obj_description(to_regnamespace(%s))", [SCHEMA])
        (said,) = self._cursor.fetchone()
        now = f"{_READER}{self._reader}" if self._reader is not None else None
        if said != now:
            former = (said or "").removeprefix(_READER) if (said or "").startswith(_READER) else ""
            self._cursor.execute("select count(*) from pg_roles where rolname = %s", [former])
            if self._cursor.fetchone()[0]:
                role = sql.Identifier(former)
                self._cursor.execute(
                    sql.SQL(f"revoke all on all tables in schema {SCHEMA} from {{0}};"
                            f"revoke all on schema {SCHEMA} from {{0}}").format(role)
                )  # fmt: skip
            self._cursor.execute(f"comment on schema {SCHEMA} is %s", [now])
        if self._reader is None:
            return
        self._cursor.execute(
            "select has_table_privilege(%s, %s, 'select')", [self._reader, f"{SCHEMA}.{VERSION_TABLE}"]
        )
        if not self._cursor.fetchone()[0]:
            reader = sql.Identifier(self._reader)
            self._cursor.execute(sql.SQL(f"grant usage on schema {SCHEMA} to {{}}").format(reader))
            self._cursor.execute(
                sql.SQL(f"grant select on all tables in schema {SCHEMA} to {{}}").format(reader)
            )

    def _clear_away(self) -> tuple[str, ...]:
        """Remove former schemas that nobody reads any more; what others made upon their tables stays."""
        self._cursor.execute(
            "select nspname from pg_namespace where nspname ~ %s order by nspname", [f"^{FORMER}[0-9]+$"]
        )
        kept: list[str] = []
        for (former,) in self._cursor.fetchall():
            connection = self._cursor.connection
            try:
                self._cursor.execute("set local lock_timeout = '1s'")
                self._cursor.execute(
                    "select string_agg(format('%%I.%%I', schemaname, tablename), ', ') from pg_tables"
                    " where schemaname = %s",
                    [former],
                )
                (tables,) = self._cursor.fetchone()
                if tables:
                    self._cursor.execute(f"drop table {tables}")
                self._cursor.execute(f"drop schema {former}")
                connection.commit()
            except errors.LockNotAvailable:  # a query still runs on it: the next publication tries again
                connection.rollback()
            except errors.DependentObjectsStillExist as error:
                connection.rollback()
                kept.append(_first(error.diag.message_detail or former))
        return tuple(kept)


def _first(detail: str) -> str:
    """`view x depends on table y` lines: what the first of them is about."""
    return detail.splitlines()[0].split(" depends on ")[0]
