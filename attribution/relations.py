"""What a dbt Python model is given, as frames."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Protocol

import polars as pl


class Relation(Protocol):
    """A table that can be written as Parquet, such as DuckDB's relations."""

    def write_parquet(self, file_name: str) -> None: ...


def frame(relation: Relation) -> pl.DataFrame:
    """All rows of a relation. Through a file: read directly, DuckDB ends with a report of leaked objects."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        relation.write_parquet(str(path))
        return pl.read_parquet(path)
