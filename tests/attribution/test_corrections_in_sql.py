"""Corrections of what was measured before reach just the figures that a rebuild would change."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from bench.attribution_requests import write
from bench.attribution_world import WorldSpec, simulate
from ingest.lake import Lake, write_parquet
from ingest.logs.rules import Rules
from ingest.schema import DAY_US, FILES, FileStatus, SourceClass, conform
from ingest.settings import Settings
from tests.dbt.lakes import dbt

RULES = Rules.load(Settings(data=Path("no-such-folder")))
SPEC = WorldSpec(seed=3, people=2_500, shows=18, collaborations=8)
# With what remembers what was counted, as in a whole build.
MARTS = ("--select", "+path:models/marts/attribution", "int_counted_*")
# What a build has written when it dies before it has noted that it measured.
UNNOTED = ("--select", "+int_overlaps", "+int_cohort_rates", "+int_cohort_days")
WEEK_US = 7 * DAY_US
# Of the moment of the build, or of no target's own.
LEFT_OUT = {"k", "k_triples", "is_calibrated"}


class Lab:
    """A lake, the warehouse that follows it build by build, and one built anew."""

    def __init__(self, folder: Path) -> None:
        self.lake = Lake(folder / "lake")
        self.warehouse, self.anew = folder / "warehouse.duckdb", folder / "anew.duckdb"
        write(simulate(SPEC), self.lake, RULES)

    def build(self, *selected: str) -> None:
        dbt(self.lake, self.warehouse, "calendar", "run", *(selected or MARTS))

    def rebuild(self) -> None:
        dbt(self.lake, self.anew, "calendar", "run", *MARTS)

    def figures(self, warehouse: Path) -> dict[str, list[tuple[Any, ...]]]:
        """Each mart of attribution, in one order."""
        with duckdb.connect(str(warehouse), read_only=True) as con:
            found: dict[str, list[tuple[str, str]]] = {}
            for table, column, kind in con.execute(
                "select table_name, column_name, data_type from duckdb_columns() where schema_name = 'marts'"
                " and table_name in (select table_name from duckdb_columns()"
                " where column_name in ('collaboration_id', 'collaborations'))"
                " order by table_name, column_index"
            ).fetchall():
                found.setdefault(table, []).append((column, kind))
            return {
                table: con.execute(f"select {_rounded(columns)} from marts.{table} order by all").fetchall()
                for table, columns in found.items()
            }

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.warehouse), read_only=True) as con:
            return con.execute(sql).fetchall()

    def collaborations(self) -> pl.DataFrame:
        return pl.read_parquet(self.lake.collaborations_path)

    def record(self, rows: pl.DataFrame) -> None:
        write_parquet(rows, self.lake.collaborations_path)


def _rounded(columns: list[tuple[str, str]]) -> str:
    return ", ".join(
        f"round({column}, 7)" if kind == "DOUBLE" else column
        for column, kind in columns
        if column not in LEFT_OUT
    )


def of_all_of_b(collaborations: pl.DataFrame, number: int, starts_us: int, new_number: int) -> pl.DataFrame:
    """The collaboration `number` as one of a time, without an episode."""
    return collaborations.filter(collaboration_id=number).with_columns(
        pl.lit(new_number, pl.Int64).alias("collaboration_id"),
        pl.lit(None, pl.String).alias("partner_guid"),
        pl.lit(None, pl.Int64).alias("episode_key"),
        pl.lit(starts_us, pl.Int64).alias("starts_us"),
    )


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    lab = Lab(tmp_path_factory.mktemp("corrections"))
    lab.build()
    return lab


def test_a_build_that_died_leaves_nothing_when_its_reason_is_taken_back(lab: Lab) -> None:
    before, recorded = lab.figures(lab.warehouse), lab.collaborations()
    starts_us = recorded.filter(collaboration_id=1)["starts_us"].item()
    lab.record(pl.concat([recorded, of_all_of_b(recorded, 1, starts_us + 3 * DAY_US, 99)]))
    lab.build(*UNNOTED)
    lab.record(recorded)
    lab.build()
    assert lab.figures(lab.warehouse) == before


def test_what_was_corrected_is_measured_as_if_it_had_been_so_from_the_start(lab: Lab) -> None:
    before = lab.figures(lab.warehouse)
    moved, with_sibling, with_dates, with_office = _four_of_different_shows(lab)
    _move(lab, moved)
    _add_a_sibling_of_before(lab, with_sibling)
    _air_two_placebos_later(lab, with_dates)
    _open_offices_at_the_end_of(lab, with_office)
    lab.build()
    lab.rebuild()
    after = lab.figures(lab.warehouse)
    assert after == lab.figures(lab.anew)
    lifts = [{row[0]: row for row in figures["fct_collaboration_lift"]} for figures in (before, after)]
    assert all(lifts[0][number] != lifts[1][number] for number in (moved, with_sibling, with_dates))


def _four_of_different_shows(lab: Lab) -> list[int]:
    """Four collaborations of four shows A, each alone; of the last the week of its end goes on longest."""
    alone = lab.rows(
        "select min(target_id), min(final_us) from intermediate.int_collaborations where not is_placebo"
        " group by show_key having count(*) = 1 order by 1"
    )
    last = max(alone, key=lambda one: WEEK_US - one[1] % WEEK_US)
    return [*[number for number, _ in alone if number != last[0]][:3], last[0]]


def _move(lab: Lab, number: int) -> None:
    recorded = lab.collaborations()
    starts_us = recorded.filter(collaboration_id=number)["starts_us"].item()
    moved = of_all_of_b(recorded, number, starts_us - 14 * DAY_US, number)
    lab.record(pl.concat([recorded.filter(pl.col("collaboration_id") != number), moved]))


def _add_a_sibling_of_before(lab: Lab, number: int) -> None:
    recorded = lab.collaborations()
    starts_us = recorded.filter(collaboration_id=number)["starts_us"].item()
    sibling = of_all_of_b(recorded, number, starts_us - 33 * DAY_US, 99)
    lab.record(pl.concat([recorded, sibling.with_columns(ends_us=pl.col("starts_us") + 14 * DAY_US)]))


def _air_two_placebos_later(lab: Lab, number: int) -> None:
    """Both by the same time: what they have in common changes, how they differ does not."""
    placebos = lab.rows(
        "select episode_key from intermediate.int_placebo_episodes"
        f" where target_id = {number} order by aired_us limit 2"
    )
    assert len(placebos) == 2
    published_us = pl.col("published_us")
    is_one = pl.col("episode_key").is_in([key for (key,) in placebos])
    episodes = pl.read_parquet(lab.lake.episodes_path)
    write_parquet(
        episodes.with_columns(pl.when(is_one).then(published_us + 2 * DAY_US).otherwise(published_us)),
        lab.lake.episodes_path,
    )


def _open_offices_at_the_end_of(lab: Lab, number: int) -> None:
    """Six more families at many addresses, the day after its follow-up and in the week of its end."""
    ((final_us,),) = lab.rows(
        f"select final_us from intermediate.int_collaborations where target_id = {number}"
    )
    when_us = final_us + DAY_US
    day = date(1970, 1, 1) + timedelta(days=when_us // DAY_US)
    assert when_us // WEEK_US == final_us // WEEK_US
    folder = next(lab.lake.root.glob(f"requests/day={day}*"), None)
    assert folder is not None
    known = pl.concat(pl.read_parquet(path, hive_partitioning=False) for path in folder.rglob("*.parquet"))
    at = known.unique("address_key", maintain_order=True).head(400)
    file_id = "e" * 32
    late = pl.concat(
        at.with_columns(
            pl.lit(f"App{n}").alias("app"),
            pl.col("listener_key", "listener_key_prev", "request_key") + n + 1,
            pl.lit(when_us + n).alias("started_us"),
        )
        for n in range(6)
    ).with_columns(file_id=pl.lit(file_id), line_number=pl.int_range(1, 6 * at.height + 1, dtype=pl.Int64))
    lab.lake.write_requests(late.cast({"line_number": known.schema["line_number"]}), "late", file_id, 0)
    row = {
        "file_id": file_id,
        "source": "late",
        "source_class": SourceClass.SERVER_LOG.value,
        "format": "cloudfront",
        "file_name": "late.gz",
        "status": FileStatus.TAKEN.value,
        "lines": late.height,
        "requests": late.height,
        "rejects": 0,
        "first_us": when_us,
        "last_us": when_us + 5,
        "is_comparable": True,
        "days": [day],
        "taken_in_us": when_us + DAY_US,
    }
    lab.lake.record(conform(pl.DataFrame([row]), FILES).collect())
