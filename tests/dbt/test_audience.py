"""Listeners by period and by what they listen with, against sets of listeners."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from pathlib import Path
from random import Random

import pytest

from tests.dbt.lakes import marts
from tests.dbt.show_lakes import Built, Download, build, show_requests

Key = tuple[object, ...]


def periods_of(day: date) -> list[tuple[str, date, date]]:
    """Every period that holds a date: (kind, first, last date)."""
    monday = day - timedelta(day.weekday())
    first = day.replace(day=1)
    last = (first + timedelta(31)).replace(day=1) - timedelta(1)
    trailing = [
        (f"trailing_{days}", day + timedelta(n - days + 1), day + timedelta(n))
        for days in (7, 28)
        for n in range(days)
    ]
    return [("day", day, day), ("week", monday, monday + timedelta(6)), ("month", first, last), *trailing]


def naive_listeners(built: Built, entity: Callable[[Download], Key]) -> set[Key]:
    """(period, start, end, complete, class, *entity, listeners, new, returning, cut short) by sets."""
    first: dict[Key, date] = {}
    cut: set[Key] = set()
    heard: dict[Key, set[Key]] = defaultdict(set)
    for d in built.downloads():
        who = (d.source_class, d.show_id, d.listener_key)
        first[who] = min(first.get(who, d.date), d.date)
        cut |= set() if d.is_comparable else {who}
        for period, start, end in periods_of(d.date):
            if not period.startswith("trailing") or end <= built.last_date(d.source_class):
                heard[period, start, end, d.source_class, *entity(d)].add(who)
    rows = set()
    for (period, start, end, source_class, *names), listeners in heard.items():
        new = sum(first[who] >= start for who in listeners)
        known = names[0] is not None
        rows.add(
            (
                period,
                start,
                end,
                start >= built.first_date(str(source_class)) and end < built.last_date(str(source_class)),
                source_class,
                *names,
                len(listeners),
                new if known else None,
                len(listeners) - new if known else None,
                len(listeners & cut),
            )
        )
    return rows


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(tmp_path_factory.mktemp("whole"), show_requests(Random(11), 500), 1, zone="America/New_York")


def rows_of(built: Built, mart: str) -> list[Key]:
    return built.query(f"select * from marts.{mart}")


def assert_same(found: Iterable[Key], expected: set[Key]) -> None:
    found = list(found)
    assert len(found) == len(set(found))
    assert set(found) == expected


def test_r26_listeners_of_a_show_are_distinct_within_every_period(built: Built) -> None:
    assert_same(rows_of(built, "fct_show_listeners"), naive_listeners(built, lambda d: (d.show_id,)))


def test_r26_listeners_of_an_episode_are_new_when_its_show_is(built: Built) -> None:
    expected = naive_listeners(built, lambda d: (d.show_id, d.episode_key))
    assert {row[0] for row in expected} == {"day", "week", "month", "trailing_7", "trailing_28"}
    assert_same(rows_of(built, "fct_episode_listeners"), expected)


def test_r26_listeners_of_a_day_are_those_of_the_daily_mart(built: Built) -> None:
    of_day = (
        "select period_start, source_class, show_id, listeners from marts.fct_show_listeners"
        " where period = 'day'"
    )
    daily = "select date, source_class, show_id, listeners from marts.fct_show_daily where listeners > 0"
    assert sorted(built.query(of_day), key=repr) == sorted(built.query(daily), key=repr)


def test_each_dimension_holds_all_downloads_of_the_day(built: Built) -> None:
    measures = ["downloads", "downloads_calendar", "downloads_first_touch", "downloads_last_touch"]
    sums = ", ".join(f"sum({measure})" for measure in measures)
    daily = built.query(
        f"select date, source_class, show_id, {sums} from marts.fct_show_daily group by all"
        " having sum(downloads_calendar + downloads_first_touch + downloads_last_touch) > 0"
    )
    dimensions = built.query("select distinct dimension from marts.fct_show_dimensions_daily")
    assert len(dimensions) == 8
    for (dimension,) in dimensions:
        by_value = built.query(
            f"select date, source_class, show_id, {sums} from marts.fct_show_dimensions_daily"
            f" where dimension = '{dimension}' group by all"
        )
        assert sorted(by_value, key=repr) == sorted(daily, key=repr), dimension


def test_listeners_by_value_are_distinct_by_day_month_and_28_days(built: Built) -> None:
    by_day: dict[Key, list[int]] = defaultdict(list)
    by_period: dict[Key, list[int]] = defaultdict(list)
    for d in built.downloads():
        begun, last = built.first_date(d.source_class), built.last_date(d.source_class)
        month = periods_of(d.date)[2]
        trailing = [("trailing_28", end - timedelta(27), end) for end in (last, last - timedelta(1))]
        for dimension in ("app", "device_category", "country"):
            value = getattr(d, dimension) or "unknown"
            by_day[d.date, d.source_class, d.show_id, dimension, value].append(d.listener_key)
            for period, start, end in (month, *trailing):
                if start <= d.date <= end:
                    is_complete = start >= begun and end < last
                    key = (period, start, end, is_complete, d.source_class, d.show_id, dimension, value)
                    by_period[key].append(d.listener_key)
    daily = built.query(
        "select date, source_class, show_id, dimension, value, downloads, listeners"
        " from marts.fct_show_dimensions_daily"
        " where dimension in ('app', 'device_category', 'country') and downloads > 0"
    )
    assert_same(daily, {(*key, len(who), len(set(who))) for key, who in by_day.items()})
    expected = {(*key, len(who), len(set(who))) for key, who in by_period.items()}
    assert_same(rows_of(built, "fct_show_dimensions"), expected)


def test_batches_and_late_rows_give_the_same_marts_as_a_rebuild(tmp_path: Path) -> None:
    rows = show_requests(Random(12), 300)
    in_batches = build(tmp_path / "batches", rows, 3)
    whole = build(tmp_path / "whole", rows, 1)
    found, expected = marts(in_batches.warehouse), marts(whole.warehouse)
    for files in (found, expected):
        del files["dim_sources"]  # tells the number of files
    assert found == expected
    compared = ("listeners", "dimensions", "pacing", "reconciliation", "hourly")
    assert all(rows for name, rows in expected.items() if any(subject in name for subject in compared))
