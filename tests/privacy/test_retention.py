"""What grows old goes: keys from lake and warehouse, rejects, plays, landing files; sums stay."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from ingest.lake import Lake, write_parquet
from ingest.logs.found import find_landing_files
from ingest.logs.intake import take_in
from ingest.schema import APP_DEVICES, DAY_US, conform
from ingest.settings import Settings
from orchestration.forgetting import FORGOTTEN, forget_keys
from orchestration.maintaining import Maintained, maintain
from serving.edge.errors import MASKED, NAME, mask_errors
from tests.dbt.lakes import dbt, marts
from tests.ingest.samples import NOW_US, land, nginx, rejects_of, settings_of, take
from tests.privacy.rotating_world import STEADY

KEYED = {"fct_downloads", "fct_volume_flags"}  # rows of these name keys; all other marts add up


def us(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1_000_000


def upkeep(settings: Settings, kept: str) -> Maintained:
    """Maintenance on the day from which on `kept` is the first day kept."""
    now_us = us(kept) + settings.keep_days * DAY_US
    return maintain(settings, Lake(settings.lake_dir), now_us, lambda *step: None)


def sums(settings: Settings) -> dict[str, list[tuple[Any, ...]]]:
    return {name: rows for name, rows in marts(settings.warehouse).items() if name not in KEYED}


def test_old_keys_go_and_no_sum_changes(house: Settings, tmp_path: Path) -> None:
    shutil.copytree(house.data, tmp_path / "data", symlinks=True)
    settings = Settings(data=tmp_path / "data", settle_s=0, keep_days=40)
    lake, before = Lake(settings.lake_dir), sums(settings)
    old_keys = set(lake.requests().filter(pl.col("key_epoch") == 689).collect()["address_key"])
    assert before["fct_show_listeners"] and before["fct_attribution_gross"] and before["fct_episode_pacing"]

    done = upkeep(settings, "2026-09-15")
    assert done.expired.first_kept_day == date(2026, 9, 15) and done.forgotten > 50 and not done.notes
    for kept in ("2026-09-15", "2026-10-06"):  # after it, and once more as time goes on
        upkeep(settings, kept)
        dbt(lake, settings.warehouse, "calendar", "run")
        after = sums(settings)
        assert {name for name in before if before[name] != after[name]} == set()
    with duckdb.connect(str(settings.warehouse), read_only=True) as con:
        oldest, keyed = con.execute(
            "select min(first_request_us), count(*) from marts.fct_downloads where key_epoch >= 0"
        ).fetchall()[0]
        assert oldest >= us("2026-10-03") and keyed > 0  # a window reaches over the end of an epoch
        rows = con.execute("select count(*) from marts.fct_downloads").fetchall()
        assert rows == [(len(marts(house.warehouse)["fct_downloads"]),)]
        left = {
            value
            for schema, table, column in con.execute(
                "select columns.schema_name, columns.table_name, column_name from duckdb_columns() as columns"
                " inner join duckdb_tables() as tables on columns.table_oid = tables.table_oid"
                " where data_type = 'BIGINT' and not columns.internal"
            ).fetchall()
            for (value,) in con.execute(f'select "{column}" from {schema}.{table}').fetchall()
        }
    assert old_keys and not left & old_keys


def test_a_listener_still_heard_of_looks_new_to_nobody_and_one_long_gone_leaves_nothing(
    house: Settings, tmp_path: Path
) -> None:
    warehouse = Path(shutil.copy(house.warehouse, tmp_path / "warehouse.duckdb"))
    done = forget_keys(warehouse, date(2026, 10, 6))
    assert done.downloads and done.listeners
    with duckdb.connect(str(warehouse), read_only=True) as con:
        firsts = con.execute(
            "select first_date, count(*) from intermediate.int_first_downloads where show_id = 'show-a'"
            " group by 1"
        ).fetchall()
        assert firsts == [(date(2026, 8, 11), len(STEADY) + 1)]
        assert con.execute(
            "select count(distinct listener_key) = count(*) from marts.fct_downloads where key_epoch = ?",
            [FORGOTTEN],
        ).fetchall() == [(True,)]
    assert forget_keys(warehouse, date(2026, 10, 7)).downloads == 0, "a week comes together first"
    assert forget_keys(warehouse, date(2027, 6, 1)).downloads
    with duckdb.connect(str(warehouse), read_only=True) as con:
        assert con.execute("select count(*) from intermediate.int_first_downloads").fetchall() == [(0,)]
        assert con.execute("select count(*) from intermediate.int_counted_listeners").fetchall() == [(0,)]


def test_rejects_go_thirty_days_after_their_intake(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    take(settings, land(settings, nginx() + "not a line\n"))
    maintain(settings, Lake(settings.lake_dir), NOW_US + 29 * DAY_US, lambda *step: None)
    assert rejects_of(settings).height == 1
    done = maintain(settings, Lake(settings.lake_dir), NOW_US + 31 * DAY_US, lambda *step: None)
    assert rejects_of(settings).height == 0 and done.expired.rejects == 1
    assert Lake(settings.lake_dir).requests().collect().height == 1


def test_plays_that_apps_told_of_go_with_their_day(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, keep_days=10)
    lake = Lake(settings.lake_dir)
    for day in ("2026-09-01", "2026-09-20"):
        row = conform(pl.DataFrame([{"install_key": 1, "started_us": us(day)}]), APP_DEVICES).collect()
        write_parquet(row, lake.root / "app_devices" / f"day={day}" / "a.parquet")
    maintain(settings, lake, us("2026-09-21"), lambda *step: None)
    assert sorted(path.name for path in (lake.root / "app_devices").iterdir()) == [
        "day=2026-09-20",
        "day=9999-12-31",
    ]


def test_landing_files_stay_unless_a_setting_says_how_long(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, keep_days=0)
    file, late = land(settings, nginx()), land(settings, "not\n" * 50, name="refused.log")
    take(settings, file, late)
    new = land(settings, nginx(id="2"), name="new.log")
    assert maintain(settings, Lake(settings.lake_dir), NOW_US + 9 * DAY_US, lambda *step: None).landing == 0
    short = settings.model_copy(update={"keep_landing_days": 3})
    assert maintain(short, Lake(settings.lake_dir), NOW_US + 2 * DAY_US, lambda *step: None).landing == 0
    assert maintain(short, Lake(settings.lake_dir), NOW_US + 4 * DAY_US, lambda *step: None).landing == 1
    assert not file.path.exists() and late.path.exists() and new.path.exists()
    report = take_in(find_landing_files(settings), settings, Lake(settings.lake_dir), now_us=NOW_US)
    assert report.requests == 1  # the new one alone


def test_nginx_s_own_errors_are_kept_without_addresses(tmp_path: Path) -> None:
    said = "2026/11/30 10:00:00 [crit] 7#7: *1 SSL_do_handshake() failed, client: {}, server: 0.0.0.0:443\n"
    (tmp_path / NAME).write_text(said.format("203.0.113.7") + said.format("2001:db8::7"))
    with (tmp_path / NAME).open("a") as nginx_log:  # as nginx holds it
        assert mask_errors(tmp_path) > 0
        nginx_log.write("more\n")
    assert (tmp_path / NAME).read_text() == "more\n"
    told = (tmp_path / MASKED).read_text()
    assert told.count("SSL_do_handshake() failed, client: <address>") == 2 and "203.0" not in told
    assert mask_errors(tmp_path) == 5 and mask_errors(tmp_path) == 0
    assert (tmp_path / NAME).stat().st_size == 0


def test_what_a_repair_set_aside_goes_with_the_rejects(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    lake = Lake(settings.lake_dir)
    old, new = (settings.data / "damaged" / str(NOW_US - days * DAY_US) for days in (31, 29))
    for folder in (old, new):
        (folder / "requests").mkdir(parents=True)
        (folder / "requests" / "a.parquet").write_bytes(b"PAR1")
    done = maintain(settings, lake, NOW_US, lambda *step: None)
    assert not old.exists() and new.exists()
    assert done.notes == ["1 files that a repair had set aside are removed for their age"]
    kept = settings.model_copy(update={"keep_rejects_days": 0})
    maintain(kept, lake, NOW_US + 400 * DAY_US, lambda *step: None)
    assert new.exists()
