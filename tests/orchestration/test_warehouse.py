"""What the UI shows of the warehouse."""

from __future__ import annotations

import contextlib
from pathlib import Path

import duckdb

from orchestration.warehouse import look


def test_rows_are_shown_of_tables_and_marts_and_nothing_between_is_counted_once_more(tmp_path: Path) -> None:
    warehouse = tmp_path / "warehouse.duckdb"
    with contextlib.closing(duckdb.connect(str(warehouse))) as con:
        con.execute("create schema intermediate; create schema marts")
        con.execute("create table intermediate.int_downloads as select 7 as n")
        con.execute("create view intermediate.int_dear as select error('counted once more') as n")
        con.execute("create view marts.fct_downloads as from intermediate.int_downloads")
    relations = [("intermediate", "int_downloads"), ("intermediate", "int_dear"), ("marts", "fct_downloads")]
    assert {relation: rows for relation, (rows, _) in look(warehouse, relations).items()} == {
        ("intermediate", "int_downloads"): 1,
        ("marts", "fct_downloads"): 1,
    }
