"""`python -m serving.empty_marts FILE`: the marts without a row, as their contract says.

dbt's documentation shows the types it finds in a database; this one needs no data to be there.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import duckdb

from serving.contract import Contract, read_contract
from serving.copying import name, text
from serving.warehouse_marts import MARTS_SCHEMA


def write_empty_marts(path: Path, contract: Contract) -> None:
    """A new DuckDB file with every mart in schema `marts`, described, without rows."""
    path.unlink(missing_ok=True)
    with contextlib.closing(duckdb.connect(str(path))) as con:
        schema = f"{name(path.stem)}.{MARTS_SCHEMA}"  # a file may be named as the schema is
        con.execute(f"create schema {schema}")
        for mart in contract.values():
            table = f"{schema}.{name(mart.name)}"
            columns = ", ".join(
                f"{name(column.name)} {column.type}{'' if column.is_nullable else ' not null'}"
                for column in mart.columns
            )
            con.execute(f"create table {table} ({columns})")
            con.execute(f"comment on table {table} is {text(mart.description)}")


if __name__ == "__main__":
    write_empty_marts(Path(sys.argv[1]), read_contract())
