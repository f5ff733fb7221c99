"""A lake whose small files were merged and whose old requests were removed counts as one left alone."""

from __future__ import annotations

import random
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest

from earshot.explain.answer import NothingToExplain, Question, explain
from ingest.lake import Lake
from ingest.settings import Settings
from orchestration.maintaining import Maintained, maintain
from tests.dbt.lakes import DAY_US, START_US, add_file, catalog, dbt, marts, random_requests, set_catalog

NOW_US = START_US + 20 * DAY_US
KEPT = datetime.fromtimestamp((START_US + 8 * DAY_US) / 1e6, UTC).date()


def upkeep(settings: Settings) -> Maintained:
    return maintain(settings, Lake(settings.lake_dir), NOW_US, lambda *step: None)


def test_upkeep_changes_no_figure_of_old_or_kept_days(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data", keep_days=12)
    lake, rng = Lake(settings.lake_dir), random.Random(5)
    old = random_requests(rng, 300, days=6)
    kept = random_requests(rng, 300, days=4, start_us=START_US + 10 * DAY_US)
    for number, row in enumerate(old + kept):
        row["request_key"] = number
    late, early = kept[::7], [row for at, row in enumerate(kept) if at % 7]
    set_catalog(lake, catalog())
    for number in range(3):
        add_file(lake, f"{number:032x}", old[number::3])
        add_file(lake, f"{number + 10:032x}", early[number::3])
    waiting = upkeep(settings)
    assert waiting.expired.days == 0 and waiting.notes, "nothing is counted yet"
    dbt(lake, settings.warehouse, "calendar", "run")
    before = marts(settings.warehouse)
    alone = settings.model_copy(update={"data": tmp_path / "alone"})
    shutil.copytree(settings.data, alone.data)

    done = upkeep(settings)
    assert done.expired.first_kept_day == KEPT and done.expired.requests == len(old)
    assert waiting.compacted and not done.compacted
    assert lake.event_days()[0] >= KEPT
    with pytest.raises(NothingToExplain, match=f"before {KEPT} were removed"):
        explain(Question("guid-0", KEPT - timedelta(days=1)), settings)
    dbt(lake, settings.warehouse, "calendar", "run")
    assert marts(settings.warehouse) == before

    for mine in (settings, alone):
        add_file(Lake(mine.lake_dir), f"{99:032x}", late)
        dbt(Lake(mine.lake_dir), mine.warehouse, "calendar", "run")
    assert marts(settings.warehouse) == marts(alone.warehouse) != before
    # Every day judged again, as under other settings: what is gone stays as it was counted.
    for day in Lake(alone.lake_dir).event_days():
        Lake(alone.lake_dir).record_restated(day, "r", NOW_US)
        lake.record_restated(day, "r", NOW_US)
    for mine in (settings, alone):
        dbt(Lake(mine.lake_dir), mine.warehouse, "calendar", "run")
    assert marts(settings.warehouse) == marts(alone.warehouse)
    assert pl.Series(lake.event_days()).min() >= KEPT


def test_a_late_file_changes_nothing_that_was_counted_from_requests_that_are_gone(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, keep_days=12)
    lake, rng = Lake(settings.lake_dir), random.Random(5)
    # Few listeners: their chains of requests reach over the day from which on requests are kept.
    rows = random_requests(rng, 300, days=14)
    for number, row in enumerate(rows):
        row["request_key"] = number
    kept_us = START_US + 8 * DAY_US
    late = [row for row in rows if row["started_us"] >= kept_us][::7]
    set_catalog(lake, catalog())
    add_file(lake, f"{1:032x}", [row for row in rows if row not in late])
    dbt(lake, settings.warehouse, "calendar", "run")
    before = marts(settings.warehouse)
    assert upkeep(settings).expired.requests > 0

    add_file(lake, f"{2:032x}", late)
    dbt(lake, settings.warehouse, "last_touch", "run")  # another setting recounts everything that is there
    dbt(lake, settings.warehouse, "calendar", "run")
    after = marts(settings.warehouse)
    with duckdb.connect(str(settings.warehouse), read_only=True) as con:
        names = [row[0] for row in con.execute("describe marts.fct_downloads").fetchall()]
    first = names.index("first_request_us")
    old = [row for row in before["fct_downloads"] if row[first] < kept_us]
    assert old == [row for row in after["fct_downloads"] if row[first] < kept_us]
    assert len(after["fct_downloads"]) > len(before["fct_downloads"])
    date = [row[0] for row in before["fct_episode_daily"]]
    assert KEPT in date
    assert [row for row in before["fct_episode_daily"] if row[0] < KEPT] == [
        row for row in after["fct_episode_daily"] if row[0] < KEPT
    ]


WITH_TESTS = ("build", "--exclude-resource-type", "unit_test", "--exclude-resource-type", "exposure")


# West of UTC a date of the marts begins in one day of the lake and ends in the next.
@pytest.mark.parametrize(
    ("zone", "selected"),
    [("UTC", ()), ("America/New_York", ("-s", "+exclusions_add_up", "+int_counted_files"))],
)
def test_all_checks_of_a_whole_build_hold_after_each_removal(
    tmp_path: Path, zone: str, selected: tuple[str, ...]
) -> None:
    settings = Settings(data=tmp_path, keep_days=12)
    lake, rng = Lake(settings.lake_dir), random.Random(11)
    rows = random_requests(rng, 400, days=14, listeners=6)  # chains reach over each border
    for number, row in enumerate(rows):
        row["request_key"] = number
    late = [row for row in rows if row["started_us"] >= START_US + 8 * DAY_US][::7]
    very_late = [row for row in rows if row["started_us"] >= START_US + 10 * DAY_US][3::7]
    set_catalog(lake, catalog())
    add_file(lake, f"{1:032x}", [row for row in rows if row not in late and row not in very_late])
    dbt(lake, settings.warehouse, "calendar", *WITH_TESTS, *selected, time_zone=zone)
    assert upkeep(settings).expired.requests > 0
    dbt(lake, settings.warehouse, "calendar", *WITH_TESTS, *selected, time_zone=zone)
    add_file(lake, f"{2:032x}", late)
    dbt(lake, settings.warehouse, "calendar", *WITH_TESTS, *selected, time_zone=zone)
    assert upkeep(settings.model_copy(update={"keep_days": 10})).expired.requests > 0
    add_file(lake, f"{3:032x}", very_late)
    dbt(lake, settings.warehouse, "calendar", *WITH_TESTS, *selected, time_zone=zone)
    lost = "delete from {} where date > date '2026-09-12' and {} > 0"
    for mart, column in (("fct_exclusions_daily", "requests"), ("fct_episode_daily", "downloads")):
        with duckdb.connect(str(settings.warehouse)) as con:
            con.execute(f"begin; create table kept as select * from marts.{mart}")
            con.execute(lost.format(f"marts.{mart}", column))
            con.execute("commit")
        with pytest.raises(AssertionError, match="exclusions_add_up"):
            dbt(lake, settings.warehouse, "calendar", "test", "-s", "exclusions_add_up", time_zone=zone)
        with duckdb.connect(str(settings.warehouse)) as con:
            con.execute(f"delete from marts.{mart}; insert into marts.{mart} from kept; drop table kept")
    dbt(lake, settings.warehouse, "calendar", "test", "-s", "exclusions_add_up", time_zone=zone)
