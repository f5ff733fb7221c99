"""What somebody who does not own a show cannot see, nor work out."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime, timedelta

import pytest

from serving.reports.asking import OverConnection
from serving.reports.dimensions import Dimension, by_dimension
from serving.reports.downloads import downloads
from serving.reports.episodes import episodes, top_episodes
from serving.reports.exclusions import exclusions
from serving.reports.headlines import headlines
from serving.reports.listeners import Period, listeners
from serving.reports.periods import By
from serving.reports.suppression import LEAST, suppressed, whole
from tests.serving.reports.made import START, a_download, local, marts, scope, some_downloads

ROWS = some_downloads(400, 40, seed=5)


@pytest.fixture(scope="module")
def asks() -> OverConnection:
    return marts(ROWS)


@pytest.mark.parametrize("by", By)
def test_no_shown_cell_has_fewer_than_ten_listeners(asks: OverConnection, by: By) -> None:
    report = downloads(scope(asks, outside=True), by, last=date(2026, 11, 2))
    listeners: dict[object, set[int]] = defaultdict(set)
    for row in ROWS:
        at = local(row, "UTC")
        keys = {
            By.HOUR: at.replace(minute=0, second=0).isoformat(timespec="minutes"),
            By.DAY: at.date().isoformat(),
            By.WEEK: "{}-W{:02d}".format(*at.isocalendar()[:2]),
            By.MONTH: f"{at:%Y-%m}",
        }
        listeners[keys[by]].add(row["listener_key"])
    rows = report.rows(asks)
    assert rows and all("least_listeners" not in row for row in rows)
    for row in rows:
        if row["suppressed"]:
            assert row["downloads"] is None
        else:
            assert row["downloads"] and len(listeners[row["period"]]) >= LEAST
    if by is By.HOUR:
        assert any(row["suppressed"] for row in rows)
    if by is By.MONTH:
        assert any(not row["suppressed"] for row in rows)
    assert report.frame(asks).to_dicts() == rows


def test_an_owner_sees_every_cell(asks: OverConnection) -> None:
    rows = downloads(scope(asks), By.HOUR).rows(asks)
    assert min(row["downloads"] for row in rows) == 1
    assert all("suppressed" not in row for row in rows)


def test_a_single_hidden_value_takes_the_next_with_it() -> None:
    # 30, 20 and 12 listeners of three apps, 3 of a fourth: it would be the total less the others.
    sizes = {"a": 30, "b": 20, "c": 12, "d": 3}
    apps = [app for app, size in sizes.items() for _ in range(size)]
    rows = [a_download(START + timedelta(seconds=n), n, app=app) for n, app in enumerate(apps)]
    asks = marts(rows)
    found = by_dimension(scope(asks, outside=True), Dimension.APP).rows(asks)
    assert {row["value"]: row["downloads"] for row in found} == {"a": 30, "b": 20, "c": None, "d": None}
    assert {row["value"]: row["share"] for row in found}["d"] is None
    weekly = by_dimension(scope(asks, outside=True), Dimension.APP, By.WEEK).rows(asks)
    assert {row["value"]: row["downloads"] for row in weekly} == {"a": 30, "b": 20, "c": None, "d": None}


def test_a_single_hidden_day_of_a_week_takes_another_with_it() -> None:
    sizes = [15, 11, 2, 14]
    rows = [
        a_download(datetime(2026, 10, 20 + day, 6, 0, n), n)
        for day, size in enumerate(sizes)
        for n in range(size)
    ]
    asks = marts(rows)
    found = downloads(scope(asks, outside=True), By.DAY).rows(asks)
    assert [row["downloads"] for row in found] == [15, None, None, 14]


def test_one_listener_of_many_episodes_is_no_crowd() -> None:
    rows = [a_download(START + timedelta(minutes=n), 1, n) for n in range(12)]
    asks = marts(rows)
    for by in By:
        found = downloads(scope(asks, outside=True), by).rows(asks)
        assert {row["downloads"] for row in found} == {None}
    assert {row["downloads"] for row in top_episodes(scope(asks, outside=True)).rows(asks)} == {None}


def test_what_is_unknown_is_hidden() -> None:
    rows = [{"n": 5, "least_listeners": None}, {"n": 20, "least_listeners": 10}]
    assert suppressed(rows, ("n",), ()) == [{"n": None, "suppressed": True}, {"n": 20, "suppressed": False}]
    assert [row["n"] for row in suppressed(rows, ("n",), (whole,))] == [None, None]


@pytest.mark.parametrize(
    ("new", "returning", "uncomparable", "is_told"),
    [(5, 7, 0, False), (12, 0, 0, True), (3, 40, 0, False), (30, 30, 2, False), (30, 30, 55, False),
     (30, 30, 60, True)],
)  # fmt: skip
def test_no_part_of_the_listeners_is_small(
    new: int, returning: int, uncomparable: int, is_told: bool
) -> None:
    asks = marts([a_download(START + timedelta(seconds=n), n) for n in range(20)])
    day = START.date()
    for period in ("week", "month"):
        asks.rows(
            "insert into fct_show_listeners by name select $period as period, $day as period_start,"
            " $day as period_end, 'server_log' as source_class, 'show' as show_id, $all as listeners,"
            " $new as new_listeners, $returning as returning_listeners,"
            " $uncomparable as uncomparable_listeners, true as is_complete",
            {"period": period, "day": day, "all": new + returning, "new": new, "returning": returning,
             "uncomparable": uncomparable},
        )  # fmt: skip
    [row] = listeners(scope(asks, outside=True), Period.WEEK, day).rows(asks)
    told = (new + returning, new, returning, uncomparable) if is_told else (None,) * 4
    assert tuple(row[name] for name in row if name.endswith("listeners")) == told
    # Those of several weeks are sums of these: they are told by week alone.
    [row] = listeners(scope(asks, outside=True), Period.MONTH, day).rows(asks)
    assert "new_listeners" not in row and "returning_listeners" not in row


def test_headlines_tell_no_few_new_listeners() -> None:
    rows = [a_download(START + timedelta(days=day, seconds=n), n) for day in (0, 1) for n in range(20)]
    asks = marts(rows)
    asks.rows(
        "insert into fct_show_listeners by name select 'trailing_28' as period, $day as period_end,"
        " 'server_log' as source_class, 'show' as show_id, 20 as listeners, 4 as new_listeners,"
        " 16 as returning_listeners",
        {"day": START.date()},
    )
    [row] = headlines(scope(asks, outside=True)).rows(asks)
    assert row["listeners_28"] == 20 and "new_listeners_28" not in row
    [row] = headlines(scope(asks)).rows(asks)
    assert row["new_listeners_28"] == 4


def test_neither_zeros_nor_ones_give_cover() -> None:
    def told(*cells: tuple[int, int]) -> list[int | None]:
        rows = [{"n": size, "least_listeners": least} for size, least in cells]
        return [row["n"] for row in suppressed(rows, ("n",), (whole,))]

    assert told((30, 30), (12, 12), (3, 3), (0, 0)) == [30, None, None, None]
    assert told((30, 30), (12, 12), (1, 1), (1, 1)) == [30, None, None, None]
    assert told((30, 30), (12, 12), (7, 7), (6, 6)) == [30, 12, None, None]
    assert told((30, 30), (12, 12), (0, 0)) == [30, 12, None]


@pytest.mark.parametrize("most", [1, 2, 3, 4])
def test_what_a_cut_list_hides_does_not_depend_on_its_length(most: int) -> None:
    # Cut off after the third, a list without the fourth would tell 3 by its shares.
    names = [name for name, size in enumerate((30, 20, 12, 3)) for _ in range(size)]
    rows = [
        a_download(START + timedelta(seconds=n), n, name, app=f"app{name}") for n, name in enumerate(names)
    ]
    asks = marts(rows)
    of = scope(asks, outside=True)
    expected = [30, 20, None, None][:most]
    assert [row["downloads"] for row in top_episodes(of, most=most).rows(asks)] == expected
    assert [row["downloads"] for row in by_dimension(of, Dimension.APP, most=most).rows(asks)] == expected
    weekly = by_dimension(of, Dimension.APP, By.WEEK, most=most)
    assert [row["downloads"] for row in weekly.rows(asks)] == expected
    assert [row["downloads"] for row in weekly.frame(asks).to_dicts()] == expected
    paged = [episodes(of, 1, offset).rows(asks)[0]["downloads"] for offset in range(4)]
    assert sorted(paged, key=str) == [20, 30, None, None]


@pytest.mark.parametrize(("crowd", "is_told"), [(2, False), (20, True)])
def test_requests_are_no_listeners(crowd: int, is_told: bool) -> None:
    rows = [a_download(START + timedelta(seconds=n), n % crowd, n // crowd) for n in range(20)]
    asks = marts(rows)
    asks.rows(
        "insert into fct_exclusions_daily by name select $day as date, 'server_log' as source_class,"
        " 'show' as show_id, 'bot' as reason, 13 as requests",
        {"day": START.date()},
    )
    # Alone a reason covers none: either it is told or the week is not, which a range then leaves out.
    expected = {by: [20, 13] if is_told else [None, None] if by else [] for by in (None, By.WEEK)}
    for by in (None, By.WEEK):
        found = exclusions(scope(asks, outside=True), by).rows(asks)
        assert [row["requests"] for row in found] == expected[by]
        assert [row["requests"] for row in exclusions(scope(asks), by).rows(asks)] == [20, 13]


@pytest.mark.parametrize("most", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("sizes", [(7, 5, 3, 2), (2, 7, 3, 5), (3, 2, 5, 7)])
def test_where_hidden_rows_stand_tells_nothing_of_their_figures(sizes: tuple[int, ...], most: int) -> None:
    def told(sizes: tuple[int, ...]) -> list[object]:
        of = dict(enumerate((30, 20, *sizes)))
        rows = [
            a_download(
                START + timedelta(seconds=100 * n + number), 100 * number + n, number, app=f"app {number}"
            )
            for number, size in of.items()
            for n in range(size)
        ]
        asks = marts(rows)
        outside = scope(asks, outside=True)
        top = top_episodes(outside, most=most).rows(asks)
        assert [row["rank"] for row in top if row["suppressed"]] == [None] * max(0, most - 2)
        return [
            top,
            by_dimension(outside, Dimension.APP, most=most).rows(asks),
            by_dimension(outside, Dimension.APP, By.WEEK, most=most).rows(asks),
        ]

    assert told(sizes) == told((5, 3, 2, 7))


def test_a_hidden_episode_has_no_dates_of_its_downloads() -> None:
    sizes = enumerate((30, 20, 8, 7))
    rows = [a_download(START, 100 * number + n, number) for number, size in sizes for n in range(size)]
    asks = marts(rows)
    found = sorted(episodes(scope(asks, outside=True)).rows(asks), key=lambda row: str(row["episode_id"]))
    assert [row["suppressed"] for row in found] == [False, False, True, True]
    assert [row["first_date"] is None for row in found] == [False, False, True, True]
    assert [row["last_date"] is None for row in found] == [False, False, True, True]
