"""The marts of a warehouse as its catalogue and their contract describe them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from serving.contract import Contract
from serving.copying import Mart

MARTS_SCHEMA = "marts"
NO_SUBJECT = "other"  # of a mart that no contract names: it stays inside

# Readers ask for one show over a span of days: rows that lie together are pruned together
# (1.0 ms instead of 3.3 ms a query, DESIGN §2). Of a mart's columns those named here come first, in this
# order, then its dates, then its instants.
SORT_FIRST = ("show_id", "show_key")
SORT_TYPES = ("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE")


class NoSuchMarts(LookupError):
    """What is to be published is not there; the message says what is missing."""


@dataclass(frozen=True)
class MartOrder:
    """One mart to publish and the columns its rows are sorted by."""

    name: str
    order_by: tuple[str, ...]


def sort_columns(columns: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """The order of a mart with these (name, type) columns: by show, then date, then instant."""
    names = [name for name, _ in columns]
    leading = [name for name in SORT_FIRST if name in names][:1]
    return (*leading, *(name for wanted in SORT_TYPES for name, kind in columns if kind == wanted))


def find_marts(
    con: duckdb.DuckDBPyConnection, warehouse: Path, chosen: Sequence[MartOrder] | None, contract: Contract
) -> list[Mart]:
    """All tables and views of the attached warehouse's marts schema, or those chosen. Raises NoSuchMarts."""
    database = warehouse.stem
    columns = _columns(con, database)
    if not columns:
        raise NoSuchMarts(
            f"the warehouse {warehouse} has no table in schema `{MARTS_SCHEMA}`: run `dbt build` first"
        )
    if chosen is None:
        chosen = [MartOrder(mart, sort_columns(found)) for mart, found in columns.items()]
    missing = sorted({mart.name for mart in chosen} - set(columns))
    if missing:
        raise NoSuchMarts(
            f"schema `{MARTS_SCHEMA}` of {warehouse} has no {', '.join(missing)}; it has {', '.join(columns)}"
        )
    comments = _comments(con, database)
    return [
        _mart(mart, tuple(columns[mart.name]), tuple(comments.get(mart.name, ())), contract)
        for mart in chosen
    ]


def _mart(
    chosen: MartOrder,
    columns: tuple[tuple[str, str], ...],
    comments: tuple[tuple[str | None, str], ...],
    contract: Contract,
) -> Mart:
    promised = contract.get(chosen.name)
    if promised is None:
        return Mart(chosen.name, NO_SUBJECT, chosen.order_by, columns, comments)
    names = {name for name, _ in columns}
    return Mart(
        chosen.name,
        promised.subject,
        chosen.order_by,
        columns,
        comments,
        promised.grain if names.issuperset(promised.grain) else (),
        tuple(c.name for c in promised.columns if c.name in names and not c.is_nullable),
        tuple(c.name for c in promised.shared_columns if c.name in names),
        promised.version,
    )


def _columns(con: duckdb.DuckDBPyConnection, database: str) -> dict[str, list[tuple[str, str]]]:
    """(column, type) of each table and view of the marts schema, marts by name, columns in their order."""
    rows = con.execute(
        "select table_name, column_name, data_type from duckdb_columns()"
        " where database_name = ? and schema_name = ? order by table_name, column_index",
        [database, MARTS_SCHEMA],
    ).fetchall()
    found: dict[str, list[tuple[str, str]]] = {}
    for table, column, kind in rows:
        found.setdefault(table, []).append((column, kind))
    return found


def _comments(con: duckdb.DuckDBPyConnection, database: str) -> dict[str, list[tuple[str | None, str]]]:
    """(column, comment) by mart; the mart's own has no column."""
    here = "database_name = $database and schema_name = $schema and comment is not null"
    rows = con.execute(
        f"select table_name, column_name, comment from duckdb_columns() where {here}"
        f" union all select table_name, null, comment from duckdb_tables() where {here}"
        f" union all select view_name, null, comment from duckdb_views() where {here}",
        {"database": database, "schema": MARTS_SCHEMA},
    ).fetchall()
    found: dict[str, list[tuple[str | None, str]]] = {}
    for table, column, comment in rows:
        found.setdefault(table, []).append((column, comment))
    return found
