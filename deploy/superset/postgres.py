"""Whether a role of PostgreSQL may be given to analysts: it reads the schema `marts` and writes nothing."""

from __future__ import annotations

import contextlib

import psycopg2

ASKS = """
select
  to_regnamespace('marts') is not null and has_schema_privilege('marts', 'usage') as reads,
  rolsuper
    or has_database_privilege(current_database(), 'create')
    or coalesce(has_schema_privilege(to_regnamespace('marts'), 'create'), false)
    or exists (
      select from pg_class
      where relnamespace = to_regnamespace('marts') and relkind in ('r', 'p', 'v')
        and has_table_privilege(oid, 'insert, update, delete, truncate')
    ) as writes
from pg_roles
where rolname = current_user
"""


WRONG = "EARSHOT_BI_MARTS_DB is no address of a database: write postgresql://reader:password@host/database"


class NotAReader(ValueError):
    """The role can write, or cannot read; the message says what to do."""


class Unreachable(RuntimeError):
    """The server did not answer; the message has no password in it."""


def check_reader(uri: str) -> None:
    """Raises NotAReader, Unreachable."""
    if not uri.startswith("postgresql://"):
        raise NotAReader(WRONG)
    try:
        with (
            contextlib.closing(psycopg2.connect(uri, connect_timeout=10)) as server,
            server.cursor() as cursor,
        ):
            cursor.execute(ASKS)
            reads, writes = cursor.fetchone()
    except psycopg2.ProgrammingError:  # what it says repeats the address, password and all
        raise NotAReader(WRONG) from None
    except psycopg2.OperationalError as error:
        said = str(error).strip().splitlines()[-1:] or ["no answer"]
        raise Unreachable(f"PostgreSQL is not connected: {said[0]}") from None
    if writes:
        raise NotAReader(
            "the role in EARSHOT_BI_MARTS_DB can write, and whoever uses Superset's SQL Lab is that role: "
            "make one that only reads (`create role reader login password …`), name it in "
            "EARSHOT_MARTS_DB_READER, publish, and give Superset its address"
        )
    if not reads:
        raise NotAReader(
            "the role in EARSHOT_BI_MARTS_DB cannot read the schema `marts`: set EARSHOT_MARTS_DB, name the "
            "role in EARSHOT_MARTS_DB_READER, and publish (`earshot marts load`)"
        )
