"""Whether a PostgreSQL is fit for us, asked before anything is made there; and what to do if not."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import sqlalchemy as db
from sqlalchemy import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from orchestration.postgres import CONNECT_S, SCHEMA, reason, shown

OLDEST = 13
EXAMPLE = "postgresql://earshot@db.example.com/earshot"
_DRIVERS = ("postgresql", "postgres", "postgresql+psycopg2")
_SSL_ADVICE = "add ?sslmode=require where it wants TLS"


class ServerUnfit(RuntimeError):
    """The PostgreSQL cannot be used; the message says why and what to do, and shows no password."""


def complete_url(text: str) -> str:
    """The URL as settings hold it; the password of PGPASSWORD goes in where it has none. Raises ServerUnfit.

    Without either, libpq looks into ~/.pgpass each time it connects.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # what they say may hold a part of the password
        raise ServerUnfit(f"--postgres is no database URL such as {EXAMPLE}") from None
    if "@" in (url.host or ""):  # what stands before it is the end of a password
        raise ServerUnfit("--postgres: its password holds an @; write it as %40, or give it in PGPASSWORD")
    if url.drivername not in _DRIVERS:
        raise ServerUnfit(f"--postgres: {url.drivername} is not postgresql; write it as {EXAMPLE}")
    if not url.database:
        raise ServerUnfit(f"--postgres names no database; write it as {EXAMPLE}")
    password = os.environ.get("PGPASSWORD")
    if password and not url.password and not url.query.get("password"):
        url = url.set(password=password)
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def check(text: str, with_registry: bool) -> str:
    """What server it is, in a few words. Raises ServerUnfit."""
    with _connected(make_url(text)) as connection:
        for problem in _problems(connection, with_registry):
            raise ServerUnfit(problem)
        version = connection.execute(db.text("show server_version")).scalar_one()
        return f"PostgreSQL {str(version).partition(' ')[0]}, {shown(make_url(text))}"


def _problems(connection: Connection, with_registry: bool) -> Iterator[str]:
    def ask(query: str) -> object:
        return connection.execute(db.text(query)).scalar()

    number = int(str(ask("show server_version_num")))
    if number < OLDEST * 10_000:
        yield f"PostgreSQL {number // 10_000} is older than {OLDEST}: upgrade the server"
    if ask("select pg_is_in_recovery()"):
        yield "it is a standby, which only reads: name the primary"
    if ask("show default_transaction_read_only") == "on":
        yield "transactions only read there (default_transaction_read_only): alter the role or the database"
    database, user = ask("select current_database()"), ask("select current_user")
    if ask("show server_encoding") != "UTF8":
        yield (
            f"database {database} has the encoding {ask('show server_encoding')}:"
            f" `create database earshot owner {user} encoding 'UTF8' template template0`"
        )
    if not ask(f"select to_regnamespace('{SCHEMA}') is not null"):
        if not ask("select has_database_privilege(current_database(), 'create')"):
            yield (
                f"{user} may make no schemas in database {database}; as its owner:"
                f' `grant create on database "{database}" to "{user}"`'
            )
    elif not ask(f"select has_schema_privilege('{SCHEMA}', 'create, usage')"):
        yield (
            f"{user} may make no tables in schema {SCHEMA} of database {database}, which is there already: is"
            f' it another\'s? Else as its owner: `alter schema {SCHEMA} owner to "{user}"`'
        )
    if with_registry:
        schema = ask("select current_schema()")
        if schema is None:
            yield (
                f"no schema of the search_path of {user} is in database {database}; as its owner:"
                f' `create schema if not exists public authorization "{user}"`'
            )
        elif not ask("select has_schema_privilege(current_schema(), 'create')"):
            yield (
                f"{user} may make no tables in schema {schema} of database {database}; as its owner:"
                f' `grant create on schema "{schema}" to "{user}"`'
            )


@contextlib.contextmanager
def _connected(url: URL) -> Iterator[Connection]:
    engine = db.create_engine(
        url.set(drivername="postgresql+psycopg2"),
        connect_args={"connect_timeout": CONNECT_S},
        poolclass=db.pool.NullPool,
    )
    try:
        with engine.connect() as connection:
            yield connection
    except DBAPIError as error:
        told = reason(error, url)
        raise ServerUnfit(f"{shown(url)} cannot be used: {told}. {_advice(told)}") from None
    finally:
        engine.dispose()


def _advice(reason: str) -> str:
    if "password" in reason or "no pg_hba.conf entry" in reason:
        return (
            "Give the password in PGPASSWORD or ~/.pgpass, and let pg_hba.conf admit this user and machine;"
            f" {_SSL_ADVICE}"
        )
    if "does not exist" in reason:
        return "Make it first: `createuser --pwprompt earshot; createdb --owner earshot earshot`"
    return "Does it run, and is it reached from this machine?"
