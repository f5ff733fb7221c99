"""podcast:updateFrequency: rules are read as iCalendar says, and hostile ones cost nothing."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.feeds.recurrence import Frequency, Rule, parse_rule, rule_text
from ingest.schema import DAY_US


def rule(rrule: str, dtstart: str | None = None) -> Rule:
    text = rule_text(rrule, dtstart)
    assert text is not None
    found = parse_rule(text)
    assert found is not None
    return found


def us(year: int, month: int, day: int, hour: int = 0) -> int:
    return int(datetime(year, month, day, hour, tzinfo=UTC).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    "hostile",
    [
        "FREQ=SECONDLY;COUNT=1000000000",
        "FREQ=MINUTELY",
        "FREQ=HOURLY",
        "FREQ=DAILY;INTERVAL=0",
        "FREQ=DAILY;INTERVAL=99999999999999999999",
        "FREQ=DAILY;BYDAY=2MO",
        "FREQ=WEEKLY;BYDAY=XX",
        "FREQ=MONTHLY;BYDAY=99MO",
        "FREQ=YEARLY;BYEASTER=1",
        "FREQ=DAILY;FREQ=DAILY",
        "FREQ=DAILY;UNTIL=tomorrow",
        "FREQ=DAILY;BYHOUR=٣",
        "BYDAY=MO",
        "FREQ=",
        "",
        "x" * 10_000,
        "FREQ=MONTHLY;BYMONTHDAY=" + ",".join(["1"] * 1000),
    ],
)
def test_what_is_not_a_plain_rule_is_none(hostile: str) -> None:
    assert rule_text(hostile, None) is None


@pytest.mark.parametrize(
    "never", ["FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "FREQ=YEARLY;BYMONTH=4;BYMONTHDAY=31"]
)
def test_a_day_that_never_comes_is_never_expected(never: str) -> None:
    found = rule(never, "19950101")
    assert not any(found.is_expected(us(2026, 1, 1) + day * DAY_US) for day in range(400))


@pytest.mark.parametrize(
    ("dtstart", "written"),
    [
        ("2024-01-01T06:30:00Z", "DTSTART:20240101T060000Z\nRRULE:FREQ=DAILY"),
        ("2024-01-01T01:30:00+02:00", "DTSTART:20231231T230000Z\nRRULE:FREQ=DAILY"),
        ("2024-01-01T00:00:00.000Z", "DTSTART:20240101\nRRULE:FREQ=DAILY"),
        ("20240101", "DTSTART:20240101\nRRULE:FREQ=DAILY"),
        ("2024-13-01", "RRULE:FREQ=DAILY"),
        ("0001-01-01", "RRULE:FREQ=DAILY"),
        ("soon", "RRULE:FREQ=DAILY"),
        (None, "RRULE:FREQ=DAILY"),
    ],
)
def test_a_start_is_read_as_a_day_and_an_hour_in_utc(dtstart: str | None, written: str) -> None:
    assert rule_text("freq=daily;", dtstart) == written


def test_an_episode_is_expected_from_an_hour_before_to_three_after() -> None:
    found = rule("FREQ=WEEKLY", "2024-01-01T06:00:00Z")  # Mondays
    assert [hour for hour in range(24) if found.is_expected(us(2026, 6, 1, hour))] == [5, 6, 7, 8]
    assert not any(found.is_expected(us(2026, 6, 2, hour)) for hour in range(24))


def test_hours_around_midnight_reach_into_the_days_beside() -> None:
    early, late = rule("FREQ=WEEKLY;BYDAY=MO;BYHOUR=0"), rule("FREQ=WEEKLY;BYDAY=MO;BYHOUR=23")
    assert early.is_expected(us(2026, 5, 31, 23))
    assert late.is_expected(us(2026, 6, 2, 1))


def test_without_an_hour_the_whole_day_is_meant() -> None:
    found = rule("FREQ=MONTHLY;BYDAY=1TU")
    assert found.is_expected(us(2026, 6, 2, 23))
    assert not found.is_expected(us(2026, 6, 9))


def test_a_rule_that_has_ended_expects_nothing() -> None:
    assert not rule("FREQ=DAILY;UNTIL=20250101T000000Z").is_expected(us(2026, 1, 1))


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("FREQ=DAILY", 1),
        ("FREQ=DAILY;BYHOUR=6,18", 0.5),
        ("FREQ=WEEKLY;INTERVAL=2", 14),
        ("FREQ=WEEKLY;BYDAY=MO,WE,FR", 7 / 3),
        ("FREQ=MONTHLY;BYDAY=1TU", 30.44),
        ("FREQ=YEARLY;BYMONTH=11;BYDAY=+4TH", 365.25),
    ],
)
def test_the_gap_is_about_that_between_occurrences(text: str, days: float) -> None:
    assert rule(text).gap_us == pytest.approx(days * DAY_US)


_days = st.lists(
    st.sampled_from(["MO", "TU", "WE", "TH", "FR", "SA", "SU"]), min_size=1, max_size=3, unique=True
)
_nth_days = st.lists(
    st.sampled_from(["1MO", "+2TU", "-1FR", "5SU", "3SA"]), min_size=1, max_size=2, unique=True
)


@st.composite
def _rules(draw: st.DrawFn) -> str:
    frequency = draw(st.sampled_from(list(Frequency)))
    parts = [f"FREQ={frequency}", f"INTERVAL={draw(st.integers(1, 4))}"]
    nth_fit = frequency in (Frequency.MONTHLY, Frequency.YEARLY)
    kind = draw(st.sampled_from(["none", "days", "month_days", *(["nth"] if nth_fit else [])]))
    if kind == "days":
        parts.append("BYDAY=" + ",".join(draw(_days)))
    elif kind == "nth":
        parts.append("BYDAY=" + ",".join(draw(_nth_days)))
    elif kind == "month_days" and frequency is not Frequency.WEEKLY:
        numbers = draw(
            st.lists(st.sampled_from([1, 15, 28, 31, -1, -3]), min_size=1, max_size=2, unique=True)
        )
        parts.append("BYMONTHDAY=" + ",".join(map(str, numbers)))
    if draw(st.booleans()):
        parts.append(
            "BYMONTH=" + ",".join(map(str, draw(st.lists(st.integers(1, 12), min_size=1, max_size=3))))
        )
    if draw(st.booleans()):
        parts.append("WKST=SU")
    if draw(st.booleans()):
        parts.append("UNTIL=20260601T000000Z")
    return ";".join(parts)


@settings(max_examples=150, deadline=None)
@given(_rules(), st.dates(date(2024, 1, 1), date(2025, 12, 31)))
def test_a_day_is_in_a_rule_exactly_when_dateutil_says_so(text: str, start: date) -> None:
    found = rule(text, start.isoformat())
    oracle = rrulestr(text.replace("T000000Z", ""), dtstart=datetime(start.year, start.month, start.day))
    end = datetime(2026, 12, 31)
    expected = {when.date() for when in oracle.between(datetime(2024, 1, 1), end, inc=True)}
    days = (date(2024, 1, 1) + timedelta(days=number) for number in range(1096))
    assert {day for day in days if found.occurs_on(day)} == expected


@given(st.text(max_size=60), st.text(max_size=20))
def test_no_text_makes_it_fail(text: str, dtstart: str) -> None:
    for tried in (text, f"FREQ=DAILY;{text}", f"FREQ=YEARLY;BYDAY={text}"):
        written = rule_text(tried, dtstart)
        if written is not None:
            found = parse_rule(written)
            assert found is not None
            found.is_expected(us(2026, 1, 1))
            assert found.gap_us > 0
