"""Windows, listeners and attribution over the ends of key epochs: from log lines to marts."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from ingest.lake import Lake, write_parquet
from ingest.settings import Settings
from tests.dbt.lakes import dbt
from tests.privacy.rotating_world import HOUSE, NEWCOMERS, STEADY, STRADDLERS, WEEKS, asks

OF_A = len(STEADY) + 1  # and the house, one /64
MODELS = ("fct_downloads", "fct_show_listeners", "fct_attribution_gross", "int_device_downloads")
# One download of the straddled episode each, where a window may cross midnight.
STRADDLED = {"calendar": 0, "first_touch": len(STRADDLERS), "last_touch": len(STRADDLERS)}


def counted(warehouse: Path) -> dict[str, Any]:
    """The figures that a change of keys would break, of a build from nothing."""
    with duckdb.connect(str(warehouse), read_only=True) as con:

        def one(sql: str) -> Any:
            return con.execute(sql).fetchall()[0][0]

        listeners = "from marts.fct_show_listeners where show_id = 'show-a' and "
        return {
            "straddled": {
                rule: one(
                    f"select coalesce(sum(downloads_{rule}), 0)"
                    " from marts.fct_downloads where show_id = 'show-s'"
                )
                for rule in STRADDLED
            },
            "september": one(
                f"select listeners {listeners} period = 'month' and period_start = '2026-09-01'"
            ),
            "new": dict(
                con.execute(
                    f"select period_start, new_listeners {listeners} period = 'week' and new_listeners > 0"
                ).fetchall()
            ),
            "gross": one(
                "select new_listeners from marts.fct_attribution_gross"
                " where rule = 'last_touch' and window_days = 30 and collaboration_id = 1"
            ),
            "devices": one("select count(distinct device_key) from intermediate.int_device_downloads"),
        }


def test_the_world_lies_in_three_key_epochs(house: Settings) -> None:
    rows = Lake(house.lake_dir).requests().collect()
    assert rows.height == len(asks()) and set(rows["key_epoch"]) == {689, 690, 691}
    assert rows["address_key"].n_unique() > len({ask.address for ask in asks()})  # one each epoch


def test_a_change_of_keys_changes_no_figure(house: Settings) -> None:
    found = counted(house.warehouse)
    assert found == {
        "straddled": STRADDLED,
        "september": OF_A,
        "new": {date(2026, 8, 10): OF_A, date(2026, 10, 12): len(NEWCOMERS)},
        "gross": len(NEWCOMERS),
        "devices": len(STEADY) + 1 + len(NEWCOMERS),
    }


def test_without_the_older_keys_the_same_figures_would_be_wrong(house: Settings, tmp_path: Path) -> None:
    """So the test above can fail: every one of its figures hangs on the bridge."""
    lake = Lake(Path(shutil.copytree(house.lake_dir, tmp_path / "lake")))
    for path in lake.root.glob("requests/day=2026*/*.parquet"):
        rows = pl.read_parquet(path, hive_partitioning=False)
        cut = {f"{name}_prev": pl.col(f"{name}_prev") + 1 for name in ("address_key", "listener_key")}
        write_parquet(rows.with_columns(**cut), path)
    warehouse = tmp_path / "warehouse.duckdb"
    dbt(lake, warehouse, "calendar", "run", "--select", *(f"+{model}" for model in MODELS))
    found = counted(warehouse)
    assert found["straddled"] == {"calendar": 0, "first_touch": 0, "last_touch": 0}
    assert found["september"] == 2 * OF_A
    assert found["gross"] == len(NEWCOMERS) + OF_A
    assert found["new"][date(2026, 10, 12)] == len(NEWCOMERS) + OF_A
    assert found["devices"] > len(STEADY) + 1 + len(NEWCOMERS)
    assert len(HOUSE) == 2 and WEEKS == 11
