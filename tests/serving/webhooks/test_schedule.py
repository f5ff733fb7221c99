"""When a message is tried again, and when a digest is due."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.web import MAX_RETRY_AFTER_S
from serving.webhooks.schedule import (
    MAX_FAILURES,
    RETRY_DELAYS_S,
    next_digest_us,
    retry_delay_us,
    retry_us,
)

SECOND_US = 1_000_000
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Santiago",  # changes at midnight
    "Africa/Cairo",  # changes at midnight
    "Australia/Lord_Howe",  # by half an hour
    "Asia/Kathmandu",  # never; 5:45 ahead
    "Pacific/Auckland",
]
FAILURES = st.integers(1, MAX_FAILURES - 1)


@given(st.text(), FAILURES)
def test_a_retry_comes_within_its_delay_and_never_at_once(message_id: str, failures: int) -> None:
    delay_us = retry_delay_us(message_id, failures)
    assert 0 < delay_us <= RETRY_DELAYS_S[failures - 1] * SECOND_US
    assert delay_us == retry_delay_us(message_id, failures)  # another sender finds the same


def test_the_jitter_is_full() -> None:
    # Of 1,000 messages about a tenth lies in each tenth of the delay (100 ± 5 standard deviations of 9.5).
    tenths = [0] * 10
    for number in range(1000):
        tenths[(retry_delay_us(f"evt_{number}", 4) - 1) * 10 // (7200 * SECOND_US)] += 1
    assert all(52 <= tenth <= 148 for tenth in tenths)


def test_retries_end_within_three_days_and_a_half() -> None:
    # 5 s + 5 min + 30 min + 2 + 5 + 10 + 14 + 20 + 24 h = 272,105 s = 75.58 h
    assert RETRY_DELAYS_S == (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
    assert sum(RETRY_DELAYS_S) == 272_105 <= 75.7 * 3600
    assert MAX_FAILURES == 10
    for failures in (0, -1, MAX_FAILURES):
        with pytest.raises(ValueError, match="no retry"):
            retry_delay_us("evt", failures)


@given(
    st.text(),
    FAILURES,
    st.none() | st.integers(0, MAX_RETRY_AFTER_S),
    st.integers(0, 4 * 10**15),
)
def test_a_longer_retry_after_counts(
    message_id: str, failures: int, retry_after_s: int | None, now_us: int
) -> None:
    due_us = retry_us(message_id, failures, retry_after_s, now_us)
    assert due_us is not None
    ours_us = now_us + retry_delay_us(message_id, failures)
    theirs_us = now_us + (retry_after_s or 0) * SECOND_US
    assert due_us == max(ours_us, theirs_us)
    assert due_us <= now_us + MAX_RETRY_AFTER_S * SECOND_US


def test_the_tenth_failure_is_the_last() -> None:
    assert retry_us("evt", MAX_FAILURES, 5, 0) is None
    assert retry_us("evt", MAX_FAILURES + 3, None, 0) is None


INSTANTS = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)).map(
    lambda at: int(at.replace(tzinfo=UTC).timestamp()) * SECOND_US + at.microsecond
)


def on_the_wall(instant_us: int, zone: str) -> datetime:
    return datetime.fromtimestamp(instant_us / SECOND_US, ZoneInfo(zone)).replace(tzinfo=None, fold=0)


def is_a_time(wall: datetime, zone: str) -> bool:
    there = ZoneInfo(zone)
    return wall.replace(tzinfo=there).astimezone(UTC).astimezone(there).replace(tzinfo=None) == wall


@given(
    st.sampled_from(ZONES),
    st.integers(0, 59),
    st.integers(0, 23),
    INSTANTS,
)
def test_a_daily_digest_is_due_once_a_day_at_its_time_of_day(
    zone: str, minute: int, hour: int, now_us: int
) -> None:
    before_us, days = now_us, []
    for _ in range(5):
        due_us = next_digest_us(f"{minute} {hour} * * *", zone, before_us)
        assert due_us > before_us
        due = on_the_wall(due_us, zone)
        asked = due.replace(hour=hour, minute=minute)
        if is_a_time(asked, zone):
            assert due == asked
            # … and the first of two
            assert on_the_wall(due_us - 3600 * SECOND_US, zone) != asked
        else:  # the clock jumps over it: due when it has
            assert on_the_wall(due_us - 60 * SECOND_US, zone) < asked < due
        days.append(due.date())
        before_us = due_us
    assert [(later - sooner).days for sooner, later in pairwise(days)] == [1] * 4


@given(
    st.sampled_from(ZONES),
    st.sampled_from(
        ["* * * * *", "*/7 * * * *", "30 * * * *", "0 */6 * * *", "0 0 * * SUN", "5 2,3 1-7 * MON"]
    ),
    INSTANTS,
)
def test_digests_only_go_forward(zone: str, cron: str, now_us: int) -> None:
    for _ in range(10):
        due_us = next_digest_us(cron, zone, now_us)
        assert due_us > now_us
        assert due_us % (60 * SECOND_US) == 0
        now_us = due_us


def instant_us(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * SECOND_US


@pytest.mark.parametrize(
    ("cron", "zone", "now", "due"),
    [
        # Clocks put forward from 2:00 to 3:00 on 2026-03-29: half past two is not, three is.
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00+01:00", "2026-03-29T03:00:00+02:00"),
        ("30 2 * * *", "Europe/Berlin", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"),
        # Put back from 3:00 to 2:00 on 2026-10-25: half past two is twice, and due the first time only.
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:00:00+02:00", "2026-10-25T02:30:00+02:00"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T02:15:00+01:00", "2026-10-26T02:30:00+01:00"),
        # Each hour is each hour.
        ("0 * * * *", "Europe/Berlin", "2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00"),
        ("0 * * * *", "Europe/Berlin", "2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00"),
        # Strictly after now.
        ("0 9 * * MON", "UTC", "2026-11-30T09:00:00+00:00", "2026-12-07T09:00:00+00:00"),
        ("0 9 * * MON", "UTC", "2026-11-30T08:59:59+00:00", "2026-11-30T09:00:00+00:00"),
        ("0 0 29 2 *", "UTC", "2026-11-30T00:00:00+00:00", "2028-02-29T00:00:00+00:00"),
        ("0 8 L * *", "America/New_York", "2026-11-01T00:00:00-04:00", "2026-11-30T08:00:00-05:00"),
    ],
)
def test_digests_through_changes_of_the_clock(cron: str, zone: str, now: str, due: str) -> None:
    assert next_digest_us(cron, zone, instant_us(now)) == instant_us(due)


def test_within_the_second_of_a_digest_the_next_one_is_meant() -> None:
    nine = instant_us("2026-11-30T09:00:00+00:00")
    assert next_digest_us("0 9 * * *", "UTC", nine - 1) == nine
    assert next_digest_us("0 9 * * *", "UTC", nine + 1) == nine + 86_400 * SECOND_US


def test_a_day_that_never_comes_is_an_error() -> None:
    with pytest.raises(ValueError, match="never due"):
        next_digest_us("0 0 */8 * MON#5", "UTC", 0)  # the 1st, 9th, 17th or 25th, and a fifth Monday
