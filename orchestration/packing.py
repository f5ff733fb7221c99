"""The warehouse file without the room that builds have left free in it. Imports no Dagster.

DuckDB writes what changes into free blocks before it frees those of before, and gives no block in the middle
of a file back. So a file is as large as its largest build needed: a build of everything in one piece, a
restatement, months that were removed leave it so for ever. It is copied, and the copy takes its place in one
step; a crash before that leaves a file beside that the next time overwrites.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import duckdb

from ingest.durable import sync
from serving.copying import name, text
from serving.publish import IN_USE

FREE_SHARE = 1 / 4  # of the file's blocks; below it a copy is not worth its seconds
MANY_BLOCKS = 256  # of 256 KiB: a smaller file need not be smaller
BESIDE = ".packing"


@dataclass(frozen=True)
class Packed:
    """Bytes of the warehouse before and after; `note`: why it was left as it was, where that is a fault."""

    bytes_before: int
    bytes_after: int
    note: str = ""


def pack(
    warehouse: Path, memory: str, free_share: float = FREE_SHARE, many_blocks: int = MANY_BLOCKS
) -> Packed:
    """Copy the warehouse where much of it is free. Raises OSError (disk full); nothing is lost by it."""
    if not warehouse.is_file():
        return Packed(0, 0)
    before = warehouse.stat().st_size
    beside = warehouse.with_name(f"{warehouse.stem}{BESIDE}")
    beside.unlink(missing_ok=True)
    try:
        with contextlib.closing(duckdb.connect(str(warehouse))) as con:
            con.execute("checkpoint")  # what a killed build left in the log belongs to this file
        # Read-only from here on: it keeps writers away as well, and touches no log when it is closed,
        # which may be another process's by then.
        held = duckdb.connect()
        held.execute(f"set memory_limit = '{memory}'")
        held.execute(f"attach {text(str(warehouse))} as {name(warehouse.stem)} (read_only)")
    except duckdb.IOException as error:
        reason = "it is in use" if any(sign in str(error) for sign in IN_USE) else str(error)
        return Packed(before, before, f"the warehouse was not packed: {reason}")
    with contextlib.closing(held):
        if warehouse.with_name(f"{warehouse.name}.wal").exists():
            return Packed(before, before, "the warehouse was not packed: somebody wrote to it meanwhile")
        blocks, free = held.execute(
            "select total_blocks, free_blocks from pragma_database_size() where database_name = ?",
            [warehouse.stem],
        ).fetchall()[0]
        if blocks < many_blocks or free < free_share * blocks:
            return Packed(before, before)
        try:
            held.execute(f"attach {text(str(beside))} as packed")
            held.execute(f"copy from database {name(warehouse.stem)} to packed").fetchall()
            held.execute("checkpoint packed")
            held.execute("detach packed")
            sync(beside)
        except BaseException as error:
            beside.unlink(missing_ok=True)
            if isinstance(error, duckdb.Error):
                why = f"{error}. It is as it was and is packed again tomorrow: is the disk full?"
                return Packed(before, before, f"the warehouse was not packed: {why}")
            raise
        beside.replace(warehouse)
        sync(warehouse.parent)
    return Packed(before, warehouse.stat().st_size)
