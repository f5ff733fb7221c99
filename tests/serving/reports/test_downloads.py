"""Downloads over time against a count of the same rows in Python."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta

import pytest

from ingest.schema import SourceClass
from ingest.settings import Window
from serving.reports.asking import BadQuestion, OverConnection
from serving.reports.dimensions import Dimension, by_dimension
from serving.reports.downloads import Episode, downloads, find_episode
from serving.reports.periods import By, has_whole_hours
from serving.reports.shows import Scope
from tests.serving.reports.made import (
    START,
    a_download,
    day,
    local,
    marts,
    scope,
    some_downloads,
)

ROWS = some_downloads(900, 60)
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Pacific/Kiritimati",
    "Asia/Kathmandu",
    "America/St_Johns",
]
PERIODS: dict[By, Callable[[datetime], str]] = {
    By.HOUR: lambda at: at.replace(minute=0, second=0, microsecond=0).isoformat(timespec="minutes"),
    By.DAY: lambda at: at.date().isoformat(),
    By.WEEK: lambda at: "{}-W{:02d}".format(*at.isocalendar()[:2]),
    By.MONTH: lambda at: f"{at:%Y-%m}",
}


@pytest.fixture(scope="module")
def asks() -> OverConnection:
    return marts(ROWS)


@pytest.fixture(scope="module")
def show(asks: OverConnection) -> Scope:
    return scope(asks)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("by", By)
@pytest.mark.parametrize("window", [Window.CALENDAR, Window.LAST_TOUCH])
@pytest.mark.parametrize("episode", [None, 1])
def test_periods_are_exact_in_every_zone(
    asks: OverConnection, zone: str, by: By, window: Window, episode: int | None
) -> None:
    first, last = day("2026-10-22"), day("2026-10-31")
    wanted = Counter(
        PERIODS[by](local(row, zone))
        for row in ROWS
        if first <= local(row, zone).date() <= last
        and row[f"downloads_{window}"]
        and episode in (None, row["episode_key"])
    )
    of = None if episode is None else find_episode(asks, "show", f"guid-{episode}")
    report = downloads(scope(asks, window=window), by, first, last, zone, of)
    found = {row["period"]: row["downloads"] for row in report.rows(asks)}
    assert found == wanted
    assert list(found) == [row["period"] for row in sorted(report.rows(asks), key=_start)]
    assert sum(found.values()) > 50
    assert report.frame(asks).to_dicts() == report.rows(asks)
    assert report.about["time_zone"] == zone and report.about["window"] is window


def _start(row: dict[str, datetime]) -> datetime | date:
    return row["period_start"]


def test_the_hour_that_comes_twice_is_two_hours(asks: OverConnection, show: Scope) -> None:
    # 02:00 to 03:00 in Berlin, before and after the clock is turned back: 00:00 and 01:00 UTC.
    twice = marts([a_download(datetime(2026, 10, 25, hour, 30), hour) for hour in (0, 1, 1)])
    sunday = day("2026-10-25")
    rows = downloads(scope(twice), By.HOUR, sunday, sunday, "Europe/Berlin").rows(twice)
    assert [(row["period"], row["downloads"], row["period_start"]) for row in rows] == [
        ("2026-10-25T02:00+02:00", 1, datetime(2026, 10, 25, 0)),
        ("2026-10-25T02:00+01:00", 2, datetime(2026, 10, 25, 1)),
    ]


def test_a_zone_off_by_minutes_is_counted_from_downloads(asks: OverConnection, show: Scope) -> None:
    sql = downloads(show, By.DAY, time_zone="Asia/Kathmandu").query.sql
    assert "fct_downloads" in sql and "fct_episode_hourly" not in sql
    assert "fct_episode_hourly" in downloads(show, By.DAY, time_zone="Europe/Berlin").query.sql
    assert not has_whole_hours("Australia/Lord_Howe", day("2026-01-01"), day("2026-12-31"))


def test_a_period_is_complete_when_data_and_range_hold_all_of_it(asks: OverConnection, show: Scope) -> None:
    # The data reach from Tuesday 20 October to Monday 2 November, whose day has not ended.
    weeks = {row["period"]: row["is_complete"] for row in downloads(show, By.WEEK).rows(asks)}
    assert weeks == {"2026-W43": False, "2026-W44": True, "2026-W45": False}
    cut = downloads(show, By.WEEK, day("2026-10-27"), day("2026-11-02")).rows(asks)
    assert [row["is_complete"] for row in cut] == [False, False]
    days = downloads(show, By.DAY).rows(asks)
    assert [row["period"] for row in days if not row["is_complete"]] == ["2026-11-02"]


def test_dimensions_hold_all_downloads(asks: OverConnection, show: Scope) -> None:
    wanted = Counter(row["app"] for row in ROWS)
    rows = by_dimension(show, Dimension.APP).rows(asks)
    assert {row["value"]: row["downloads"] for row in rows} == wanted
    assert sum(row["share"] for row in rows) == pytest.approx(1, abs=1e-5)
    assert [row["downloads"] for row in rows] == sorted(wanted.values(), reverse=True)
    weekly = by_dimension(show, Dimension.APP, By.WEEK).rows(asks)
    assert (
        Counter({row["value"]: 0 for row in weekly})
        + sum((Counter({row["value"]: row["downloads"]}) for row in weekly), Counter())
        == wanted
    )
    assert sum(row["share"] for row in weekly if row["period"] == "2026-W44") == pytest.approx(1, abs=1e-5)
    [largest] = by_dimension(show, Dimension.APP, most=1).rows(asks)
    assert largest == rows[0]


def test_an_episode_by_dimension_is_counted_from_its_downloads(asks: OverConnection, show: Scope) -> None:
    episode = find_episode(asks, "show", "guid-2")
    wanted = Counter(row["app"] for row in ROWS if row["episode_key"] == 2)
    rows = by_dimension(show, Dimension.APP, episode=episode).rows(asks)
    assert {row["value"]: row["downloads"] for row in rows} == wanted


def test_an_episode_of_another_show_is_unknown() -> None:
    asks = marts([a_download(START, 1, 0, "a"), a_download(START, 1, 1, "b")])
    assert find_episode(asks, "a", "guid-1") is None
    assert isinstance(find_episode(asks, "b", "guid-1"), Episode)


@pytest.mark.parametrize(
    ("field", "asked"),
    [
        ("from", {"first": day("2026-02-01"), "last": day("2026-01-01")}),
        ("from", {"first": day("2016-01-01"), "last": day("2026-01-01")}),
        ("from", {"by": By.HOUR, "first": day("2026-01-01"), "last": day("2026-06-01")}),
        ("from", {"first": date.min}),
        ("to", {"last": date.max}),
        ("time_zone", {"time_zone": "Mars/Olympus"}),
        ("time_zone", {"time_zone": "../../etc/passwd"}),
        ("time_zone", {"time_zone": "localtime"}),
        ("time_zone", {"time_zone": "UTC'; drop table fct_downloads --"}),
    ],
)
def test_a_question_without_an_answer_names_the_field(
    show: Scope, field: str, asked: dict[str, object]
) -> None:
    with pytest.raises(BadQuestion) as refused:
        downloads(show, **asked)  # type: ignore[arg-type]
    assert refused.value.field == field


def test_every_zone_that_is_taken_is_known_to_duckdb(asks: OverConnection) -> None:
    from serving.reports.periods import _zones

    known = {row["name"] for row in asks.rows("select name from pg_timezone_names()", {})}
    assert len(_zones()) > 400 and _zones() <= known


def test_without_dates_the_newest_are_told(asks: OverConnection, show: Scope) -> None:
    about = downloads(show, By.DAY).about
    assert (about["from"], about["to"]) == (day("2026-10-04"), day("2026-11-02"))
    assert downloads(show, By.MONTH).about["from"].day == 1
    assert downloads(show, By.WEEK).about["from"].weekday() == 0


def test_a_class_that_has_seen_nothing_is_said(asks: OverConnection) -> None:
    report = downloads(scope(asks, source_class=SourceClass.PREFIX))
    assert report.rows(asks) == []
    assert report.about["notes"] == ["prefix has seen nothing of this show; there are some of server_log"]


def test_both_classes_are_never_summed() -> None:
    mine = [a_download(START + timedelta(hours=n), n) for n in range(3)]
    theirs = [{**row, "source_class": "prefix"} for row in mine[:2]]
    asks = marts([*mine, *theirs])
    report = downloads(scope(asks))
    assert sum(row["downloads"] for row in report.rows(asks)) == 3
    assert "never sum them" in report.about["notes"][0]
    prefix = downloads(scope(asks, source_class=SourceClass.PREFIX))
    assert sum(row["downloads"] for row in prefix.rows(asks)) == 2
    assert prefix.about["rule"]["id"] == "R32"
