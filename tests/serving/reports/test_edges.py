"""Where the data of a show begin or end within what is asked."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from serving.reports.asking import OverConnection
from serving.reports.downloads import downloads
from serving.reports.headlines import headlines
from serving.reports.listeners import Period, listeners
from serving.reports.periods import By
from tests.serving.reports.made import START, a_download, marts, scope


@pytest.fixture(scope="module")
def asks() -> OverConnection:
    """Tuesday 20 October to 17 November: `old` on all days, `new` from 11 November on, `gone` to the 25th."""
    days = {"old": range(29), "new": range(22, 28), "gone": range(6)}
    rows = [
        a_download(START + timedelta(days=day, hours=number), number, place, show)
        for place, (show, of) in enumerate(days.items())
        for day in of
        for number in range(3)
    ]
    asks = marts(rows)
    for show in ("old", "new"):
        asks.rows(
            "insert into fct_show_listeners by name select 'week' as period,"
            " date '2026-11-09' as period_start, date '2026-11-15' as period_end,"
            " 'server_log' as source_class, $show as show_id, 3 as listeners, true as is_complete",
            {"show": show},
        )
    return asks


def test_the_period_in_which_a_shows_data_begin_is_not_complete(asks: OverConnection) -> None:
    monday = date(2026, 11, 9)
    for show, is_complete in (("old", True), ("new", False)):
        report = downloads(scope(asks, show=show), By.WEEK, monday, date(2026, 11, 15))
        assert [row["is_complete"] for row in report.rows(asks)] == [is_complete]
        heard = listeners(scope(asks, show=show), Period.WEEK, monday, date(2026, 11, 15))
        assert [row["is_complete"] for row in heard.rows(asks)] == [is_complete]
        for about in (report.about, heard.about):
            begins = [note for note in about["notes"] if "begin on 2026-11-11" in note]
            assert bool(begins) is not is_complete


def test_a_day_without_downloads_is_no_end_of_the_data(asks: OverConnection) -> None:
    # `new` has none on the 17th, the last of the data.
    report = downloads(scope(asks, show="new"), By.DAY, date(2026, 11, 11), date(2026, 11, 16))
    assert all(row["is_complete"] for row in report.rows(asks)) and report.about["notes"] == []


def test_a_source_that_stopped_is_said(asks: OverConnection) -> None:
    silent = downloads(scope(asks, show="gone"), By.WEEK).about["notes"]
    assert [note for note in silent if note.startswith("last download seen on 2026-10-25")]
    before = downloads(scope(asks, show="gone"), By.DAY, date(2026, 10, 20), date(2026, 10, 25))
    assert before.about["notes"] == []


def test_headlines_say_since_when_and_compare_nothing_that_is_cut(asks: OverConnection) -> None:
    report = headlines(scope(asks, show="new"))
    [row] = report.rows(asks)  # to Monday 16 November
    assert (row["downloads_7"], row["downloads_28"]) == (18, 18)
    assert row["downloads_7_before"] is row["downloads_28_before"] is None
    assert report.about["notes"] == [
        "downloads_all are since 2026-11-11, when the data of this show begin",
        "of the newest 7 and 28 days the data hold 6",
    ]
    old = headlines(scope(asks, show="old"))
    [row] = old.rows(asks)
    assert (row["downloads_7"], row["downloads_7_before"], row["downloads_28"]) == (21, 21, 84)
    assert len(old.about["notes"]) == 1
