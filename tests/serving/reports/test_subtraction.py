"""Somebody who does not own a show asks for everything and subtracts."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.settings import Window
from serving.reports.asking import BadQuestion, OverConnection
from serving.reports.dimensions import Dimension, by_dimension
from serving.reports.downloads import downloads, find_episode
from serving.reports.episodes import episodes, top_episodes
from serving.reports.exclusions import DOWNLOAD, exclusions
from serving.reports.headlines import headlines
from serving.reports.listeners import Period, listeners
from serving.reports.periods import By
from serving.reports.shows import Scope
from serving.reports.suppression import LEAST
from tests.serving.reports.made import START, a_download, marts, scope

Row = dict[str, Any]
Holds = Callable[["Atom"], bool]
Atom = tuple[datetime, str, str]  # hour, app, episode: what every sum is made of

HOURS = (6, 18)
REASONS = ("bot", "probe", "duplicate")
SIZES = st.lists(st.sampled_from([0, 1, 2, 5, 9, 11, 14, 25]), min_size=5, max_size=40)


def a_world(sizes: Sequence[int], seed: int) -> list[Row]:
    """So many listeners a day: each of one app, of one or two episodes."""
    rng, rows = random.Random(seed), []
    for number, size in enumerate(sizes):
        for listener in rng.sample(range(40), size):
            at = START + timedelta(days=number, hours=rng.choice(HOURS))
            app = "ABBCCC"[listener % 6]
            rows += [a_download(at, listener, episode, app=app) for episode in range(rng.choice((1, 1, 2)))]
    return rows


class Attacker:
    """Knows which hours, apps and episodes there are, and each sum that was told."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows
        seen = [_atom(row) for row in rows]
        hours, apps, names = (sorted({atom[n] for atom in seen}) for n in range(3))
        weeks = {(_week(atom[0]), atom[1]) for atom in seen}  # a value without a row has none
        self.atoms = [
            (hour, app, name)
            for hour in hours
            for app in apps
            for name in names
            if (_week(hour), app) in weeks
        ]
        self.known: list[np.ndarray] = []

    def vector(self, holds: Holds) -> np.ndarray:
        return np.array([float(holds(atom)) for atom in self.atoms])

    def is_told(self, figure: int | None, holds: Holds) -> None:
        if figure is None:
            return
        assert figure == sum(1 for row in self.rows if holds(_atom(row)))
        self.known.append(self.vector(holds))

    def knows(self) -> Callable[[np.ndarray], bool]:
        """Whether a sum follows from those told."""
        if not self.known:
            return lambda _: False
        _, sizes, base = np.linalg.svd(np.array(self.known), full_matrices=False)
        base = base[sizes > 1e-9 * sizes[0]]
        return lambda wanted: bool(np.abs(wanted - wanted @ base.T @ base).max() < 1e-6)


def _atom(row: Row) -> Atom:
    at: datetime = row["first_request_at"]
    return at.replace(minute=0, second=0), row["app"], row["episode_id"]


def _week(at: datetime) -> date:
    return at.date() - timedelta(days=at.weekday())


def _both(one: Holds, other: Holds) -> Holds:
    return lambda atom: one(atom) and other(atom)


def _within(first: date, last: date) -> Holds:
    return lambda atom: first <= atom[0].date() <= last


def _ask_all(
    asks: OverConnection, of: Scope, attacker: Attacker, ranges: Sequence[tuple[date, date]]
) -> None:
    # Of others' shows a week in which nothing is told is left out of ranges: its range alone is empty.
    weeks = {
        week
        for week in {_week(row["first_request_at"]) for row in attacker.rows}
        if by_dimension(of, Dimension.APP, None, week, week + timedelta(days=6)).rows(asks)
    }
    for first, last in ranges:
        for row in downloads(of, By.HOUR, first, last).rows(asks):
            attacker.is_told(row["downloads"], lambda atom, at=row["period_start"]: atom[0] == at)  # type: ignore[misc]
        for by in (By.DAY, By.WEEK, By.MONTH):
            for row in downloads(of, by, first, last).rows(asks):
                attacker.is_told(row["downloads"], _within(row["period_start"], row["period_end"]))
        for by in (None, By.WEEK):
            report = by_dimension(of, Dimension.APP, by, first, last)
            for row in report.rows(asks):
                begin = row.get("period_start", report.about["from"])
                end = row.get("period_end", report.about["to"])
                of_all = _both(_within(begin, end), lambda atom, by=by: bool(by) or _week(atom[0]) in weeks)  # type: ignore[misc]
                of_value = _both(of_all, lambda atom, value=row["value"]: atom[1] == value)  # type: ignore[misc]
                attacker.is_told(row["downloads"], of_value)
                if row["downloads"]:  # its share tells the sum of all
                    attacker.known.append(attacker.vector(of_all))
    for rows in (episodes(of).rows(asks), top_episodes(of).rows(asks)):
        for row in rows:
            attacker.is_told(row["downloads"], lambda atom, name=row["episode_id"]: atom[2] == name)  # type: ignore[misc]
    [row] = headlines(of).rows(asks)
    last = row["last_date"]
    for name, days, back in (("7", 7, 0), ("7_before", 7, 7), ("28", 28, 0), ("28_before", 28, 28)):
        end = last - timedelta(days=back)
        attacker.is_told(row[f"downloads_{name}"], _within(end - timedelta(days=days - 1), end))
    attacker.is_told(row["downloads_all"], lambda _: True)


def _cells(atoms: Sequence[Atom]) -> dict[str, Holds]:
    """Every cell that anybody might look for."""
    cells: dict[str, Holds] = {}
    for hour, app, name in atoms:
        day, week, month = hour.date(), _week(hour), (hour.year, hour.month)
        times: dict[str, Holds] = {
            f"hour {hour}": lambda atom, hour=hour: atom[0] == hour,  # type: ignore[misc]
            f"day {day}": lambda atom, day=day: atom[0].date() == day,  # type: ignore[misc]
            f"week {week}": lambda atom, week=week: _week(atom[0]) == week,  # type: ignore[misc]
            f"month {month}": lambda atom, month=month: (atom[0].year, atom[0].month) == month,  # type: ignore[misc]
            "all": lambda _: True,
        }
        for time, within in times.items():
            cells[time] = within
            cells[f"{time} {app}"] = lambda atom, within=within, app=app: within(atom) and atom[1] == app  # type: ignore[misc]
            cells[f"{time} {name}"] = lambda atom, within=within, name=name: within(atom) and atom[2] == name  # type: ignore[misc]
    return cells


@settings(max_examples=12, deadline=None)
@given(sizes=SIZES, seed=st.integers(0, 10**6), cuts=st.lists(st.integers(0, 44), min_size=4, max_size=4))
def test_no_sums_subtracted_leave_a_cell_of_few_listeners(
    sizes: list[int], seed: int, cuts: list[int]
) -> None:
    rows = a_world(sizes, seed)
    if not rows:
        return
    asks = marts(rows)
    of, attacker = scope(asks, outside=True), Attacker(rows)
    dates = sorted(START.date() + timedelta(days=cut) for cut in cuts)
    whole = (START.date() - timedelta(days=3), START.date() + timedelta(days=60))
    _ask_all(asks, of, attacker, [whole, *pairwise(dates)])
    knows = attacker.knows()
    for name, holds in _cells(attacker.atoms).items():
        heard = {row["listener_key"] for row in rows if holds(_atom(row))}
        if 0 < len(heard) < LEAST:
            assert not knows(attacker.vector(holds)), name


@settings(max_examples=12, deadline=None)
@given(sizes=SIZES)
def test_listeners_who_come_once_are_no_downloads_by_another_name(sizes: list[int]) -> None:
    """Then the listeners of any dates are their downloads, and can be subtracted like them."""
    each = [number for number, size in enumerate(sizes) for _ in range(size)]
    rows = [
        a_download(START + timedelta(days=number, hours=6), listener, app="A")
        for listener, number in enumerate(each)
    ]
    if not rows:
        return
    asks, attacker = _with_listeners(rows), Attacker(rows)
    of, whole = scope(asks, outside=True), (START.date() - timedelta(days=30), START.date() + timedelta(60))
    for by in (By.DAY, By.WEEK, By.MONTH):
        for row in downloads(of, by, *whole).rows(asks):
            attacker.is_told(row["downloads"], _within(row["period_start"], row["period_end"]))
    for period in Period:
        for row in listeners(of, period, *whole, with_new=False).rows(asks):
            attacker.is_told(row["listeners"], _within(row["period_start"], row["period_end"]))
    [row] = headlines(of).rows(asks)
    for days in (7, 28):
        first = row["last_date"] - timedelta(days=days - 1)
        attacker.is_told(row[f"listeners_{days}"], _within(first, row["last_date"]))
    knows = attacker.knows()
    for name, holds in _cells(attacker.atoms).items():
        if 0 < sum(1 for row in rows if holds(_atom(row))) < LEAST:
            assert not knows(attacker.vector(holds)), name


def test_a_sliding_week_of_listeners_does_not_tell_the_day_it_takes_in() -> None:
    # Tuesday to Friday; the 2 of Friday are hidden with Thursday's 12. Seven days: 67, then 69.
    sizes = [40, 15, 12, 2, 0, 0, 0, 30]
    each = [number for number, size in enumerate(sizes) for _ in range(size)]
    asks = _with_listeners(
        [a_download(START + timedelta(days=number), listener) for listener, number in enumerate(each)]
    )
    dates = (date(2026, 10, 21), date(2026, 10, 23))
    found = listeners(scope(asks, outside=True), Period.TRAILING_7, *dates, with_new=False).rows(asks)
    assert [row["listeners"] for row in found] == [55, None, 69]
    owned = listeners(scope(asks), Period.TRAILING_7, *dates).rows(asks)
    assert [row["listeners"] for row in owned] == [55, 67, 69]


def _with_listeners(rows: Sequence[Row]) -> OverConnection:
    """Marts with those of every period that is one of fct_show_listeners."""
    asks = marts(rows)
    asks.rows(
        """
        insert into fct_show_listeners by name
        with dates as (
            select unnest(range(min(date), max(date) + interval 28 day, interval 1 day))::date as day
            from fct_show_daily
        ),
        periods as (
            select 'day' as period, day as period_start, day as period_end from dates
            union select 'week', date_trunc('week', day)::date, date_trunc('week', day)::date + 6 from dates
            union select 'month', date_trunc('month', day)::date, last_day(day) from dates
            union select 'trailing_7', day - 6, day from dates
            union select 'trailing_28', day - 27, day from dates
        )
        select period, period_start, period_end, source_class, show_id,
            count(distinct listener_key) as listeners, count(distinct listener_key) as new_listeners,
            0 as returning_listeners, 0 as uncomparable_listeners, true as is_complete
        from periods join fct_downloads on date between period_start and period_end
        group by all
        """,
        {},
    )
    return asks


def test_an_owner_is_an_attacker_who_succeeds() -> None:
    """Else the test above could not fail."""
    rows = a_world([25, 3, 25, 25, 11, 14, 25, 9], 1)
    asks, attacker = marts(rows), Attacker(rows)
    _ask_all(asks, scope(asks), attacker, [(START.date(), START.date() + timedelta(days=20))])
    assert attacker.knows()(attacker.vector(_within(date(2026, 10, 21), date(2026, 10, 21))))


@pytest.mark.parametrize("first", [date(2026, 10, day) for day in range(19, 26)])
def test_what_is_hidden_does_not_depend_on_the_range(first: date) -> None:
    # Tuesday to Sunday; the small day takes the smallest of the others with it, asked for or not.
    asks = marts(a_world([15, 11, 2, 14, 20, 20], 1))
    of = scope(asks, outside=True)
    every = {row["period"]: row["downloads"] for row in downloads(of, By.DAY).rows(asks)}
    assert [row is None for row in every.values()] == [False, True, True, False, False, False]
    found = downloads(of, By.DAY, first, first + timedelta(days=2)).rows(asks)
    assert {row["period"]: row["downloads"] for row in found}.items() <= every.items()
    weekly = downloads(of, By.WEEK, first, first)
    [week] = weekly.rows(asks)
    assert week["downloads"] == len(a_world([15, 11, 2, 14, 20, 20], 1))
    assert (weekly.about["from"], weekly.about["to"]) == (date(2026, 10, 19), date(2026, 10, 25))


def test_reasons_are_summed_by_weeks_of_which_some_is_told() -> None:
    rows = a_world([25] * 20, 1)
    asks = marts(rows)
    for number in range(20):
        for reason, requests in zip(REASONS, (40, 12, 3), strict=True):
            asks.rows(
                "insert into fct_exclusions_daily by name select $day as date, 'server_log' as source_class,"
                " 'show' as show_id, $reason as reason, $requests as requests",
                {"day": START.date() + timedelta(days=number), "reason": reason, "requests": requests},
            )
    of = scope(asks, outside=True)
    week = exclusions(of, By.WEEK, date(2026, 10, 28), date(2026, 10, 28))
    ranged = exclusions(of, None, date(2026, 10, 28), date(2026, 10, 28))
    assert ranged.about["from"] == date(2026, 10, 26) and "whole ISO weeks" in ranged.about["notes"][0]
    for report in (week, ranged):
        told = {row["reason"]: row["requests"] for row in report.rows(asks)}
        assert told[DOWNLOAD] and told["bot"] == 280
    assert sum(row["requests"] for row in exclusions(scope(asks), By.DAY).rows(asks)) == len(rows) + 20 * 55


@pytest.mark.parametrize(
    ("field", "ask"),
    [
        ("time_zone", lambda of, one: downloads(of, time_zone="Europe/Berlin")),
        ("episode_id", lambda of, one: downloads(of, episode=one)),
        ("episode_id", lambda of, one: by_dimension(of, Dimension.APP, episode=one)),
        ("episode_id", lambda of, one: listeners(of, Period.WEEK, episode=one)),
        ("by", lambda of, one: by_dimension(of, Dimension.APP, By.DAY)),
        ("by", lambda of, one: by_dimension(of, Dimension.APP, By.MONTH)),
        ("by", lambda of, one: exclusions(of, By.DAY)),
        ("from", lambda of, one: top_episodes(of, START.date())),
        ("to", lambda of, one: top_episodes(of, None, START.date())),
    ],
)
def test_what_could_be_subtracted_is_refused(field: str, ask: Callable[..., Any]) -> None:
    asks = marts(a_world([25] * 20, 1))
    one = find_episode(asks, "show", "guid-0")
    with pytest.raises(BadQuestion) as refused:
        ask(scope(asks, outside=True), one)
    assert refused.value.field == field
    ask(scope(asks), one)
    with pytest.raises(BadQuestion, match="window"):
        downloads(scope(asks, outside=True, window=Window.LAST_TOUCH))
