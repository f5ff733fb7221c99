"""A mart as a table of PostgreSQL: its columns, its rows, its keys and comments."""

from __future__ import annotations

import os
import re
import threading
from typing import Any

import duckdb

from serving.copying import Mart, name

# DuckDB's types; what is not among them is written as text.
TYPES = {
    "BIGINT": "bigint",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "DOUBLE": "double precision",
    "FLOAT": "real",
    "HUGEINT": "numeric(39)",
    "INTEGER": "integer",
    "SMALLINT": "smallint",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
    "TINYINT": "smallint",
    "UBIGINT": "numeric(20)",
    "UINTEGER": "bigint",
    "USMALLINT": "integer",
    "VARCHAR": "text",
}
_DECIMAL = re.compile(r"^DECIMAL\(\d+,\d+\)$")
_NULLS_ALIKE = 150000  # the first server version whose unique keys can take two nulls for the same


def postgres_type(kind: str) -> str:
    """The type of PostgreSQL that holds all values of a type of DuckDB."""
    return kind.replace("DECIMAL", "numeric") if _DECIMAL.match(kind) else TYPES.get(kind, "text")


def create_table(cursor: Any, schema: str, mart: Mart) -> None:
    """The empty table."""
    columns = ", ".join(
        f"{name(column)} {postgres_type(kind)}{' not null' if column in mart.required else ''}"
        for column, kind in mart.columns
    )
    cursor.execute(f"create table {schema}.{name(mart.name)} ({columns})")


def copy_rows(
    con: duckdb.DuckDBPyConnection,
    cursor: Any,
    source: str,
    schema: str,
    mart: Mart,
    where: str = "",
    is_new: bool = False,
) -> int:
    """Stream its rows, in their order, from the attached DuckDB database into the table; how many there were.

    is_new: the table was made in this transaction, so that its rows need not be looked at again afterwards.
    """
    strings = [column for column, kind in mart.columns if postgres_type(kind) == "text"]
    # PostgreSQL's text has no NUL, which a feed's may have. Strings are always quoted, so that an empty one
    # is not taken for null.
    columns = ", ".join(
        f"replace(cast({name(column)} as varchar), chr(0), '') as {name(column)}"
        if column in strings
        else name(column)
        for column, _ in mart.columns
    )
    query = f"select {columns} from {source}.main.{name(mart.name)}{where}"
    forced = f", force_quote ({', '.join(map(name, strings))})" if strings else ""
    target = f"{schema}.{name(mart.name)} ({', '.join(name(column) for column, _ in mart.columns)})"
    freeze = ", freeze" if is_new else ""
    reading, writing = os.pipe()
    failures: list[Exception] = []

    def write() -> None:
        try:
            con.execute(
                f"copy ({query}) to '/dev/fd/{writing}'"
                f" (format csv, header false, nullstr '', use_tmp_file false{forced})"
            ).fetchall()
        except Exception as error:
            failures.append(error)
        finally:
            os.close(writing)

    writer = threading.Thread(target=write)
    with os.fdopen(reading, "rb") as stream:
        writer.start()
        try:
            cursor.copy_expert(f"copy {target} from stdin (format csv{freeze})", stream, 1 << 20)
        finally:
            stream.close()  # had the server failed, this ends the writer, too
            writer.join()
    if failures:
        raise failures[0]
    return int(cursor.rowcount)


def finish_table(cursor: Any, schema: str, mart: Mart) -> None:
    """Keys, comments and statistics, once the rows are in."""
    table = f"{schema}.{name(mart.name)}"
    if mart.grain:
        grain = ", ".join(map(name, mart.grain))
        if set(mart.grain) <= set(mart.required):
            cursor.execute(f"alter table {table} add primary key ({grain})")
        else:
            alike = " nulls not distinct" if cursor.connection.server_version >= _NULLS_ALIKE else ""
            cursor.execute(f"alter table {table} add unique{alike} ({grain})")
    if mart.order_by and mart.grain[: len(mart.order_by)] != mart.order_by:
        cursor.execute(f"create index on {table} ({', '.join(map(name, mart.order_by))})")
    comments = [
        cursor.mogrify(f"comment on {_percent(what)} is %s", [comment.replace("\0", "")])
        for column, comment in mart.comments
        for what in [f"column {table}.{name(column)}" if column else f"table {table}"]
    ]
    if comments:
        cursor.execute(b";".join(comments))
    cursor.execute(f"analyze {table}")


def _percent(what: str) -> str:
    return what.replace("%", "%%")


def fingerprint(con: duckdb.DuckDBPyConnection, source: str, mart: Mart) -> str:
    """Tells whether a mart has other rows than it had: their number and a sum of their hashes."""
    (found,) = con.execute(
        f"select concat_ws(' ', count(*), sum(hash(mart)), bit_xor(hash(mart)))"
        f" from {source}.main.{name(mart.name)} as mart"
    ).fetchall()[0]
    return str(found)
