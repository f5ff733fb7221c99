"""`earshot report` against a count of the same downloads in Python, row by row."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import polars as pl
import pytest

from earshot.pipeline import run_dbt
from earshot.published import NothingPublished
from earshot.report import By, Question, ReportError, report
from ingest.lake import Lake, write_parquet
from ingest.schema import NETWORKS, SourceClass, conform
from ingest.settings import Settings, Window
from serving.publish import publish
from tests.dbt.lakes import add_file, catalog, random_requests, set_catalog

# Sunday 25 October 2026 has 25 hours in Berlin, 2:00 to 3:00 twice; Kathmandu is 5 h 45 min ahead.
START_US = int(datetime(2026, 10, 23, tzinfo=UTC).timestamp()) * 1_000_000
ZONES = ["UTC", "Europe/Berlin", "Asia/Kathmandu", "Pacific/Kiritimati", "America/St_Johns"]
Row = dict[str, Any]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A data folder with published marts of eleven days around the end of summer time."""
    settings = Settings(data=tmp_path_factory.mktemp("data"))
    lake = Lake(settings.lake_dir)
    other = catalog([0]).with_columns(
        show_id=pl.lit("other"),
        enclosure_url=pl.lit("https://cdn.example/9.mp3"),
        enclosure_key=pl.lit(9, pl.Int64),
        episode_key=pl.lit(9, pl.Int64),
    )
    set_catalog(lake, pl.concat([catalog(), other]))
    requests = random_requests(random.Random(3), 1500, days=11, start_us=START_US, listeners=30)
    networks = [  # of an address: known whole, without kind and name, not at all
        {"asn": 64_501, "network_kind": "mobile", "device": "Android phone"},
        {"asn": 64_502, "device": "Apple iPhone"},
        {},
    ]
    add_file(lake, "file", [row | networks[row["address_key"] % 3] for row in requests])
    named = pl.DataFrame({"asn": [64_501], "network": ["One Mobile"], "network_kind": ["mobile"]})
    write_parquet(conform(named, NETWORKS).collect(), lake.networks_path)
    run_dbt(settings, ["run"])
    publish(settings.warehouse, settings.published_dir, keep=1, window="calendar")
    return settings


@pytest.fixture(scope="module")
def downloads(settings: Settings) -> list[Row]:
    """The rows of fct_downloads."""
    with duckdb.connect(str(settings.warehouse), read_only=True) as con:
        cursor = con.execute("select * from marts.fct_downloads")
        names = [column[0] for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def local(row: Row, zone: str) -> datetime:
    return row["first_request_at"].replace(tzinfo=UTC).astimezone(ZoneInfo(zone))


PERIODS: dict[By, Callable[[datetime], str]] = {
    By.HOUR: lambda at: at.replace(minute=0, second=0, microsecond=0).isoformat(timespec="minutes"),
    By.DAY: lambda at: at.date().isoformat(),
    By.WEEK: lambda at: "{}-W{:02d}".format(*at.isocalendar()[:2]),
    By.MONTH: lambda at: f"{at:%Y-%m}",
}


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("by", PERIODS)
@pytest.mark.parametrize("window", Window)
def test_periods_are_exact_in_every_zone(
    settings: Settings, downloads: list[Row], zone: str, by: By, window: Window
) -> None:
    first, last = date(2026, 10, 24), date(2026, 11, 1)
    wanted: dict[str, list[Row]] = defaultdict(list)
    for row in downloads:
        at = local(row, zone)
        if row["source_class"] == "server_log" and row[f"downloads_{window}"] and first <= at.date() <= last:
            wanted[PERIODS[by](at)].append(row)
    found = report(Question(by, first=first, last=last, time_zone=zone, window=window), settings)
    in_order = sorted(wanted, key=lambda period: min(row["first_request_us"] for row in wanted[period]))
    assert [row[by] for row in found.rows] == in_order
    for row in found.rows:
        mine = wanted[row[by]]
        assert row["downloads"] == len(mine)
        assert row["listeners"] == len({one["listener_key"] for one in mine})
        assert row["download_requests"] == sum(one["requests"] for one in mine)
        assert row["download_bytes"] == sum(one["served_bytes"] for one in mine)
        share = sum(one["threshold_source"] != "episode" for one in mine) / len(mine)
        assert row["estimated_share"] == pytest.approx(share, abs=1e-4)
    everything = [row for rows in wanted.values() for row in rows]
    assert found.total["downloads"] == len(everything) > 100
    assert found.total["listeners"] == len({row["listener_key"] for row in everything})
    assert found.total["listeners"] < sum(row["listeners"] for row in found.rows)


def test_the_hour_that_comes_twice_is_two_hours(settings: Settings, downloads: list[Row]) -> None:
    found = report(
        Question(By.HOUR, first=date(2026, 10, 25), last=date(2026, 10, 25), time_zone="Europe/Berlin"),
        settings,
    )
    hours = {row["hour"]: row["downloads"] for row in found.rows}
    assert {"2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00"} <= set(hours)
    day = report(
        Question(By.DAY, first=date(2026, 10, 25), last=date(2026, 10, 25), time_zone="Europe/Berlin"),
        settings,
    )
    assert [row["downloads"] for row in day.rows] == [sum(hours.values())]


@pytest.mark.parametrize("by", [by for by in By if by not in PERIODS])
def test_rows_by_what_downloads_have_in_common_add_up(
    settings: Settings, downloads: list[Row], by: By
) -> None:
    found = report(Question(by), settings)
    column = {By.SHOW: "show_id", By.EPISODE: "episode_id"}.get(by, by)
    wanted: dict[str | None, int] = defaultdict(int)
    for row in downloads:
        if row["source_class"] == "server_log":
            key = row[column] if by in (By.SHOW, By.EPISODE) else str(row[column] or "unknown")
            wanted[key] += row["downloads"]
    if by in (By.ASN, By.NETWORK_KIND, By.DEVICE):
        assert len(wanted) > 1
    if by is By.ASN:
        assert {row["asn"]: row["network"] for row in found.rows}["64501"] == "One Mobile"
    assert {row[column]: row["downloads"] for row in found.rows} == {k: n for k, n in wanted.items() if n}
    assert [row["downloads"] for row in found.rows] == sorted(wanted.values(), reverse=True)


def test_the_three_rules_stand_side_by_side_as_alternatives(settings: Settings, downloads: list[Row]) -> None:
    found = report(Question(By.MONTH, compare=True), settings)
    assert [name for name in found.columns if name.startswith("downloads")] == [
        f"downloads_{rule}" for rule in Window
    ]
    assert any("never to be summed" in note for note in found.notes)
    for rule in Window:
        total = sum(row[f"downloads_{rule}"] for row in downloads if row["source_class"] == "server_log")
        assert sum(row[f"downloads_{rule}"] for row in found.rows) == total
        alone = report(Question(By.MONTH, window=rule), settings)
        assert sum(row["downloads"] for row in alone.rows) == total
    assert len({found.total[f"downloads_{rule}"] for rule in Window}) == 3


def test_one_source_class_is_counted_and_the_other_is_named(settings: Settings, downloads: list[Row]) -> None:
    found = report(Question(By.MONTH), settings)
    assert found.source_class is SourceClass.SERVER_LOG and "--class prefix" in found.notes[0]
    prefix = report(Question(By.MONTH, source_class=SourceClass.PREFIX), settings)
    assert prefix.notes == []
    assert prefix.total["downloads"] == sum(
        row["downloads"] for row in downloads if row["source_class"] == "prefix"
    )
    assert prefix.total["estimated_share"] is None  # it sees no bytes and needs no threshold


def test_another_zone_than_the_marts_is_said(settings: Settings) -> None:
    assert not any("calendar windows" in note for note in report(Question(By.DAY), settings).notes)
    notes = report(Question(By.DAY, time_zone="Asia/Tokyo"), settings).notes
    assert any("periods begin in Asia/Tokyo, calendar windows at 00:00 UTC" in note for note in notes)


def test_one_show_and_one_episode_of_it(settings: Settings, downloads: list[Row]) -> None:
    mine = [row for row in downloads if row["source_class"] == "server_log" and row["episode_id"] == "guid-1"]
    found = report(Question(By.EPISODE, show="show", episode="guid-1"), settings)
    assert [row["downloads"] for row in found.rows] == [sum(row["downloads"] for row in mine)]
    with pytest.raises(ReportError, match="choose one with --show: other, show"):
        report(Question(episode="guid-0"), settings)
    with pytest.raises(ReportError, match="no episode 'guid-10'; alike are"):
        report(Question(episode="guid-10"), settings)
    with pytest.raises(ReportError, match="no show 'shows'; alike are show"):
        report(Question(show="shows"), settings)
    with pytest.raises(ReportError, match="later than"):
        report(Question(first=date(2026, 1, 2), last=date(2026, 1, 1)), settings)


def test_days_without_downloads_give_no_rows(settings: Settings) -> None:
    found = report(Question(By.DAY, first=date(2020, 1, 1), last=date(2020, 1, 2)), settings)
    assert found.rows == [] and found.total["downloads"] == 0
    assert found.notes[-1] == "no downloads on these dates; there are some from 2026-10-23 to 2026-11-02"


def test_without_published_marts_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NothingPublished, match="EARSHOT_DATA"):
        report(Question(), Settings(data=tmp_path))


def earshot(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "earshot.cli", "report", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "EARSHOT_DATA": str(settings.data), "COLUMNS": "80"},
        check=False,
    )


def test_as_it_is_typed(settings: Settings) -> None:
    done = earshot(settings, "--by", "day", "--time-zone", "Europe/Berlin", "--from", "2026-10-25")
    assert done.returncode == 0, done.stderr
    assert "server_log, calendar window, Europe/Berlin" in done.stdout
    assert "listeners are distinct" in done.stderr and "--class prefix" in done.stderr
    assert all(len(line.rstrip()) <= 80 and "…" not in line for line in done.stdout.splitlines())
    table = earshot(settings, "--by", "day", "--output", "csv")
    objects = earshot(settings, "--by", "day", "--output", "json")
    rows = json.loads(objects.stdout)
    assert [{k: str(v) for k, v in row.items()} for row in rows] == list(
        csv.DictReader(io.StringIO(table.stdout))
    )
    assert list(rows[0])[:4] == ["source_class", "window", "day", "downloads"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--time-zone", "Mars/X"], 2, "Europe/Berlin"),
        (["--by", "year"], 2, "'month'"),
        (["--from", "1.9.2026"], 2, "--from"),
        (["--show", "nobody"], 1, "no show 'nobody'"),
    ],
)
def test_wrong_usage_ends_with_one_plain_message(
    settings: Settings, arguments: list[str], code: int, said: str
) -> None:
    done = earshot(settings, *arguments)
    assert done.returncode == code
    assert said in done.stderr and "Traceback" not in done.stderr
