"""What was first published as the effect of each restatement: kept in the lake, once and for all.

A build compares the figures before a restatement with those after it. Which logs had arrived by then only the
publication tells: marts built anew from all logs would count later ones as the restatement's effect. So what
is published is kept, and a build takes it up from there (docs/decisions/0035).
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import duckdb
import polars as pl

from ingest.durable import locked
from ingest.lake import TOLD, Lake, keep_twice, twin_of, write_parquet
from ingest.schema import TOLD_FIGURES

MART = "fct_restatements"


def keep_told(database: Path, lake: Lake) -> int:
    """Keep what `database` (a published marts.duckdb) tells of restatements not told so far; how many.

    What is kept already stays as it is. Raises OSError, duckdb.Error; a rerun completes it.
    """
    if not database.exists():
        return 0
    with contextlib.closing(duckdb.connect(str(database.resolve()), read_only=True)) as con:
        if not _tells(con):
            return 0
        known = _known(lake)
        found = con.execute(f"select distinct epoch_us(restated_at) from {MART} order by 1").fetchall()
        new = [restated_us for (restated_us,) in found if restated_us not in known]
        for restated_us in new:
            rows = con.execute(_ROWS, [restated_us]).fetchall()
            _write(lake, restated_us, pl.DataFrame(rows, schema=TOLD_FIGURES, orient="row"))
    return len(new)


def _tells(con: duckdb.DuckDBPyConnection) -> bool:
    """Has it the mart, with the columns of now? One of an earlier version may not."""
    columns = con.execute(
        "select column_name from duckdb_columns()"
        " where database_name = current_database() and table_name = ?",
        [MART],
    ).fetchall()
    return {"restated_at", *TOLD_FIGURES} - {"restated_us"} <= {column for (column,) in columns}


def _known(lake: Lake) -> set[int]:
    """Also those whose file is gone: what was told first is in the copy, which mends it."""
    folders = (lake.root / TOLD, lake.root / twin_of(Path(TOLD)))
    return {int(path.stem) for folder in folders for path in folder.glob("[0-9]*.parquet")}


def _write(lake: Lake, restated_us: int, rows: pl.DataFrame) -> None:
    path = lake.root / TOLD / f"{restated_us}.parquet"
    with locked(lake.ledger_lock):
        write_parquet(rows, path)
        keep_twice(path, lake.root / twin_of(path.relative_to(lake.root)))


_ROWS = f"""
    select {", ".join("epoch_us(restated_at)" if name == "restated_us" else name for name in TOLD_FIGURES)}
    from {MART}
    where epoch_us(restated_at) = ?
    order by date, source_class, show_id nulls first, reason nulls first
"""
