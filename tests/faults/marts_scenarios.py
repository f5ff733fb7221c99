"""Publication and packing of the warehouse, killed; and dbt."""

from __future__ import annotations

import contextlib
from pathlib import Path

import duckdb
import polars as pl

from ingest.lake import LEDGER_COPY, TOLD, Lake
from ingest.ledger_copy import renew
from ingest.schema import TOLD_FIGURES
from orchestration.packing import pack
from serving.publish import publish
from serving.told import MART
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


def tell(warehouse: Path, restated_us: int) -> None:
    """Have the mart tell of one more restatement."""
    columns = {**TOLD_FIGURES}
    del columns["restated_us"]
    typed = {"Date": "date", "String": "varchar", "Int64": "bigint"}
    listed = [f"{name} {typed[str(kind)]}" for name, kind in columns.items()]
    with contextlib.closing(duckdb.connect(str(warehouse))) as con:
        con.execute(f"create table if not exists marts.{MART} (restated_at timestamp, {', '.join(listed)})")
        for n in range(20):
            con.execute(
                f"insert into marts.{MART} by name select make_timestamp(?::bigint) as restated_at,"
                " date '2026-01-01' as first_day, date '2026-01-02' as last_day, 'b' as rules_version,"
                " date '2026-01-01' as date, 'prefix' as source_class, ? as show_id, ? as former_published",
                [restated_us, f"show {n}", n],
            )


def kept(lake: Path) -> Facts:
    """What is kept of each restatement, and in the copy."""
    return {
        f"{folder}/{path.name}": pl.read_parquet(path).rows()
        for folder in (TOLD, f"{LEDGER_COPY}/{TOLD}")
        for path in sorted((lake / folder).glob("[0-9]*.parquet"))
    }


class Publication(Scenario):
    """A second version, with the oldest one to be pruned; the first that tells of two restatements."""

    def prepare(self, data: Path) -> None:
        data.mkdir(parents=True)
        for generation in (1, 2, 3):
            fill(data / "warehouse.duckdb", generation, rows=200)
            if generation == 2:
                tell(data / "warehouse.duckdb", 1_000_000)
            if generation < 3:
                publish(data / "warehouse.duckdb", data / "published", KEEP, lake=data / "lake")
        for restated_us in (2_000_000, 3_000_000):
            tell(data / "warehouse.duckdb", restated_us)

    def work(self, data: Path, told: Told) -> None:
        publish(data / "warehouse.duckdb", data / "published", KEEP, lake=data / "lake")
        renew(Lake(data / "lake"))  # as each night

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
        # What is published is kept; what is kept will be published, unless marts are built anew before.
        stems = {path.stem for path in (data / "lake" / TOLD).glob("[0-9]*.parquet")}
        with contextlib.closing(
            duckdb.connect(str((folder / "marts.duckdb").resolve()), read_only=True)
        ) as con:
            told = con.execute(
                f"select distinct cast(epoch_us(restated_at) as varchar) from {MART}"
            ).fetchall()
        assert {restated_us for (restated_us,) in told} <= stems
        return {"marts": found, **kept(data / "lake")}

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
