"""Publication and packing of the warehouse, killed; and dbt."""

from __future__ import annotations

import contextlib
from pathlib import Path

import duckdb

from orchestration.packing import pack
from serving.publish import publish
from serving.versions import all_versions, current_version
from tests.faults.scenario import Facts, Scenario, Told
from tests.serving.test_publish import fill

KEEP = 2


def tables(database: Path, schema: str) -> Facts:
    """Every table's rows, in a fixed order."""
    with contextlib.closing(duckdb.connect(str(database.resolve()), read_only=True)) as con:
        named = con.execute(
            "select table_name from information_schema.tables where table_schema = ? order by 1", [schema]
        ).fetchall()
        return {
            name: con.execute(f'select * from "{schema}"."{name}" order by all').fetchall()
            for (name,) in named
        }


class Publication(Scenario):
    """A second version, with the oldest one to be pruned."""

    def prepare(self, data: Path) -> None:
        data.mkdir(parents=True)
        for generation in (1, 2, 3):
            fill(data / "warehouse.duckdb", generation, rows=200)
            if generation < 3:
                publish(data / "warehouse.duckdb", data / "published", KEEP)

    def work(self, data: Path, told: Told) -> None:
        publish(data / "warehouse.duckdb", data / "published", KEEP)

    def look(self, data: Path) -> Facts:
        """Whoever follows the link finds one whole version: databases and Parquet agree."""
        folder = current_version(data / "published")
        assert folder is not None
        found = tables(folder / "marts.duckdb", "main")
        parquet = {
            path.stem: duckdb.sql(f"select * from read_parquet('{path}') order by all").fetchall()
            for path in folder.glob("*/*.parquet")
        }
        assert all(found[name] == rows for name, rows in parquet.items()) and parquet
        assert tables(folder / "shared.duckdb", "main").keys() <= found.keys()
        return {"marts": found}

    def leftovers(self, data: Path) -> list[str]:
        assert len(all_versions(data / "published")) <= KEEP
        return super().leftovers(data)


class Packing(Scenario):
    """The warehouse's file copied smaller."""

    def prepare(self, data: Path) -> None:
        data.mkdir(parents=True)
        for generation in range(1, 4):
            fill(data / "warehouse.duckdb", generation, rows=30_000)

    def work(self, data: Path, told: Told) -> None:
        done = pack(data / "warehouse.duckdb", "1GB", free_share=0, many_blocks=0)
        if done.note:  # as `earshot maintain` tells it
            print(f"error  {done.note}")
            raise SystemExit(1)

    def look(self, data: Path) -> Facts:
        # A killed process may leave a log beside it, which the next one to write takes in.
        with contextlib.closing(duckdb.connect(str(data / "warehouse.duckdb"))) as con:
            con.execute("checkpoint")
            (found,) = con.execute("select free_blocks, total_blocks from pragma_database_size()").fetchall()
        return {**tables(data / "warehouse.duckdb", "marts"), "has room": found[0] > found[1] / 4}
