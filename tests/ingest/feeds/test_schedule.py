"""When a podcast is polled next, and that its tier's promise holds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.feeds.crawl import new_state
from ingest.feeds.reasons import Reason
from ingest.feeds.recurrence import rule_text
from ingest.feeds.rhythm import rhythm_of, skipped_until, usual_hours
from ingest.feeds.schedule import FLOOR_S, NEVER_US, PROMISE_S, due_frame, hint, is_due, next_due
from ingest.feeds.schema import STATE, Record, Tier
from ingest.schema import DAY_US
from tests.ingest.feeds.made import FEED_URL, HOUR_US, MINUTE_US, NOW_US, PODCAST_KEY

SECOND_US = 1_000_000


def state(**said: Any) -> Record:
    """Polled well just now, as `said` otherwise."""
    polled = {"polled_us": NOW_US, "fetched_us": NOW_US, "changed_us": NOW_US - DAY_US, "status": 200}
    return new_state(PODCAST_KEY, FEED_URL) | polled | said


def every(gap_us: int, silent_us: int | None = None, number: int = 20) -> list[int]:
    newest = NOW_US - (gap_us // 2 if silent_us is None else silent_us)
    return [newest - gap_us * back for back in reversed(range(number))]


def delay_us(said: Record, jitter: float = 0.0) -> int:
    return next_due(said, NOW_US, jitter).next_due_us - NOW_US


# Tiers


@pytest.mark.parametrize(
    ("gap_us", "tier"),
    [
        (HOUR_US, Tier.HOT),
        (26 * HOUR_US, Tier.ACTIVE),
        (7 * DAY_US, Tier.REGULAR),
        (14 * DAY_US, Tier.REGULAR),
        (30 * DAY_US, Tier.SLOW),
        (90 * DAY_US, Tier.SLOW),
        (400 * DAY_US, Tier.INACTIVE),  # the newest is 200 days old
    ],
)
def test_a_podcast_is_in_the_tier_of_its_rhythm(gap_us: int, tier: Tier) -> None:
    assert next_due(state(publications_us=every(gap_us)), NOW_US, 0.5).tier is tier


@pytest.mark.parametrize(
    ("silent_days", "tier"),
    [(1, Tier.ACTIVE), (8, Tier.ACTIVE), (9, Tier.REGULAR), (61, Tier.SLOW), (180, Tier.INACTIVE)],
)
def test_a_daily_podcast_that_falls_silent_glides_down(silent_days: int, tier: Tier) -> None:
    said = state(publications_us=every(DAY_US, silent_days * DAY_US))
    assert next_due(said, NOW_US, 0.5).tier is tier


def test_a_complete_podcast_is_inactive() -> None:
    due = next_due(state(publications_us=every(DAY_US), is_complete=True), NOW_US, 0)
    assert due.tier is Tier.INACTIVE
    assert due.reason == "inactive: complete: no more episodes will come; polled every 2 days"


def test_a_podcast_without_dates_is_taken_for_a_weekly_one_until_it_stays_silent() -> None:
    assert next_due(state(), NOW_US, 0).tier is Tier.REGULAR
    assert next_due(state(changed_us=NOW_US - 200 * DAY_US), NOW_US, 0).tier is Tier.INACTIVE


def test_the_rule_says_the_rhythm_where_history_does_not() -> None:
    rule = rule_text("FREQ=DAILY", "2024-01-01T06:00:00Z")
    due = next_due(state(update_rule=rule, publications_us=[NOW_US - HOUR_US]), NOW_US, 0)
    assert due.tier is Tier.ACTIVE
    assert due.reason == "active: says it publishes every 24 h; polled every 48 min"


# One line that a person understands

WEEKLY = "regular: publishes every 7 days, usually 20–21 UTC"


def test_the_reason_tells_rhythm_hours_and_interval() -> None:
    midnight_us = NOW_US // DAY_US * DAY_US
    # 06:20, 05:10, 04:00, 06:20 …: two of three gaps are 24 h − 70 min = 22.8 h
    dates = [midnight_us - day * DAY_US + (4 * 60 + 70 * (day % 3)) * MINUTE_US for day in range(20, 0, -1)]
    due = next_due(state(publications_us=dates), NOW_US, 0)
    assert due.reason == "active: publishes every 22.8 h, usually 04–07 UTC; polled every 48 min"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"polled_us": None}, "regular: not fetched yet; due at once"),
        ({"max_age_s": 86400}, f"{WEEKLY}; polled every 24 h, as its Cache-Control asks"),
        ({"ttl_min": 600}, f"{WEEKLY}; polled every 10 h, as its ttl asks"),
        ({"skip_days": ["Friday"]}, f"{WEEKLY}; polled every 27.6 h, as its skipHours or skipDays asks"),
        ({"hinted_us": NOW_US - 2 * DAY_US}, f"{WEEKLY}; polled every 19.2 h, since it tells us of changes"),
        ({"reason": Reason.FLAPPING}, f"{WEEKLY}; polled every 4.8 h; alternates between contents"),
        (
            {"reason": Reason.TIMEOUT, "failures": 2, "failing_since_us": NOW_US - HOUR_US},
            "regular: timeout 2 times since 2026-05-28; tried again after 19.2 h",
        ),
        (
            {"reason": Reason.NOT_FOUND, "failures": 9, "failing_since_us": NOW_US - 30 * DAY_US},
            "dead: not_found 9 times since 2026-04-28; probed monthly",
        ),
        (
            {"reason": Reason.GONE, "failures": 3, "gone_seen": 3, "gone_since_us": NOW_US - 3 * DAY_US},
            "gone: answered 410 Gone 3 times since 2026-05-25; not polled any more",
        ),
    ],
)
def test_the_reason_tells_what_is_special(said: Record, reason: str) -> None:
    dates = every(7 * DAY_US, silent_us=DAY_US)
    assert next_due(state(publications_us=dates) | said, NOW_US, 0).reason == reason


def test_silence_is_told() -> None:
    due = next_due(state(publications_us=every(DAY_US, 61 * DAY_US)), NOW_US, 0)
    assert "published every 24 h" in due.reason
    assert "nothing new for 61 days" in due.reason


# Hours


def test_usual_hours_are_the_shortest_run_with_most_publications_also_around_midnight() -> None:
    at = [23, 23, 0, 1, 23, 0, 1, 0, 12, 1]
    dates = [day * DAY_US + hour * HOUR_US for day, hour in enumerate(at)]
    assert usual_hours(dates) == (23, 3)
    assert usual_hours(dates[:3]) is None
    assert usual_hours([day * DAY_US + day * 5 % 24 * HOUR_US for day in range(20)]) is None


def test_a_podcast_is_polled_four_times_as_often_in_its_usual_hours() -> None:
    midnight_us = NOW_US // DAY_US * DAY_US
    days = [midnight_us - day * DAY_US for day in range(3, -1, -1)]
    dates = [day + hour * HOUR_US for day in days for hour in (8, 9, 10, 11)]
    within, outside = midnight_us + 10 * HOUR_US, midnight_us + 15 * HOUR_US
    hourly = state(publications_us=dates)
    assert next_due(hourly, within, 0).next_due_us - within == 7.5 * MINUTE_US
    assert next_due(hourly, outside, 0).next_due_us - outside == 12 * MINUTE_US  # not 30: its promise is 15


def test_its_rule_opens_the_hours_too() -> None:
    midnight_us = NOW_US // DAY_US * DAY_US
    said = state(update_rule=rule_text("FREQ=HOURLY", None))
    assert said["update_rule"] is None
    said = state(update_rule=rule_text("FREQ=DAILY;BYHOUR=6", None), publications_us=[])
    assert rhythm_of(said, midnight_us + 6 * HOUR_US).is_expected
    assert not rhythm_of(said, midnight_us + 12 * HOUR_US).is_expected


# What the server asks


@pytest.mark.parametrize("asked", [{"max_age_s": 10**9}, {"ttl_min": 10**8}, {"retry_after_us": NOW_US * 2}])
def test_what_the_server_asks_is_honoured_up_to_a_day(asked: Record) -> None:
    assert delay_us(state(publications_us=every(DAY_US)) | asked) == DAY_US


def test_a_retry_after_that_has_passed_asks_nothing() -> None:
    said = state(publications_us=every(DAY_US))
    assert delay_us(said | {"retry_after_us": NOW_US - 1}) == delay_us(said)


def test_skipped_hours_and_days_are_left_out() -> None:
    at_ten = int(datetime(2026, 5, 28, 10, 30, tzinfo=UTC).timestamp()) * SECOND_US  # a Thursday
    said = state(skip_hours=[10, 11])
    assert skipped_until(said, at_ten) == at_ten + 90 * MINUTE_US
    assert skipped_until(state(skip_days=["Thursday"]), at_ten) == at_ten + (13 * 60 + 30) * MINUTE_US
    assert skipped_until(state(skip_days=["Thursday", "Friday"]), at_ten) == at_ten + DAY_US
    assert skipped_until(state(skip_hours=list(range(24))), at_ten) == at_ten
    assert skipped_until(state(skip_hours=[9], skip_days=["Friday"]), at_ten) == at_ten


# Failures


def test_failures_double_the_interval_between_an_hour_and_a_week() -> None:
    def failing(failures: int, gap_us: int) -> int:
        return delay_us(
            state(
                publications_us=every(gap_us),
                failures=failures,
                failing_since_us=NOW_US,
                reason=Reason.TIMEOUT,
            )
        )

    assert failing(1, 40 * MINUTE_US) == HOUR_US  # 2 × 5 min
    assert [failing(n, 7 * DAY_US) / HOUR_US for n in (1, 2, 3, 6, 50)] == [9.6, 19.2, 38.4, 168, 168]


def test_the_dead_are_probed_monthly_for_ever() -> None:
    said = state(reason=Reason.DNS, failures=99, failing_since_us=NOW_US - 999 * DAY_US, tier=Tier.DEAD)
    assert 24 * DAY_US <= delay_us(said) <= delay_us(said, 0.999) <= 30 * DAY_US
    other = said | {"reason": Reason.TIMEOUT.value}  # still dead, until a good answer
    assert next_due(other, NOW_US, 0).tier is Tier.DEAD


def test_the_gone_are_never_due() -> None:
    said = state(
        reason=Reason.GONE, failures=3, failing_since_us=0, gone_seen=3, gone_since_us=NOW_US - 3 * DAY_US
    )
    assert next_due(said, NOW_US, 0.5).next_due_us == NEVER_US
    assert next_due(said | {"gone_seen": 2}, NOW_US, 0.5).next_due_us < NEVER_US
    assert next_due(said | {"gone_since_us": NOW_US - 2 * DAY_US}, NOW_US, 0.5).next_due_us < NEVER_US


# Invariants


_dates = st.lists(st.integers(NOW_US - 900 * DAY_US, NOW_US + 30 * DAY_US), max_size=20) | st.builds(
    every, st.integers(MINUTE_US, 100 * DAY_US), st.integers(0, 200 * DAY_US), st.integers(0, 20)
)
_rules = st.sampled_from(
    [None, "RRULE:FREQ=DAILY", "DTSTART:20240101T060000Z\nRRULE:FREQ=WEEKLY;INTERVAL=2", "no rule"]
)
_healthy = st.builds(
    state,
    publications_us=_dates,
    update_rule=_rules,
    is_complete=st.booleans(),
    changed_us=st.integers(NOW_US - 400 * DAY_US, NOW_US),
    reason=st.sampled_from([None, Reason.FLAPPING]),
)
_jitter = st.floats(0, 1, exclude_max=True)


@settings(max_examples=400, deadline=None)
@given(_healthy, _jitter)
def test_a_healthy_podcast_is_polled_within_its_promise_and_not_below_its_floor(
    said: Record, jitter: float
) -> None:
    due = next_due(said, NOW_US, jitter)
    delay = due.next_due_us - NOW_US
    assert FLOOR_S[due.tier] * SECOND_US <= delay <= PROMISE_S[due.tier] * SECOND_US
    assert due.reason.startswith(f"{due.tier}: ")
    assert "\n" not in due.reason and len(due.reason) < 160


@settings(max_examples=200, deadline=None)
@given(
    _healthy,
    _jitter,
    st.integers(0, 10**7),
    st.integers(0, 10**4),
    st.none() | st.integers(NOW_US - DAY_US, NOW_US + 10 * DAY_US),
    st.lists(st.integers(0, 23), max_size=20),
)
def test_what_the_server_asks_only_delays_and_never_more_than_two_days_together(
    said: Record, jitter: float, max_age_s: int, ttl_min: int, retry_us: int | None, skip_hours: list[int]
) -> None:
    asked = {"max_age_s": max_age_s, "ttl_min": ttl_min, "retry_after_us": retry_us, "skip_hours": skip_hours}
    delay, freely = delay_us(said | asked, jitter), delay_us(said, jitter)
    assert delay >= freely
    assert delay >= min(max(max_age_s, ttl_min * 60), 86400) * SECOND_US
    assert delay <= freely + 2 * DAY_US


@settings(max_examples=200, deadline=None)
@given(_healthy, _jitter)
def test_jitter_adds_at_most_a_quarter(said: Record, jitter: float) -> None:
    assert delay_us(said) <= delay_us(said, jitter) <= delay_us(said) * 1.25


@settings(max_examples=200, deadline=None)
@given(_healthy, _jitter, st.integers(0, 20))
def test_more_failures_never_mean_more_polls(said: Record, jitter: float, failures: int) -> None:
    failing = {"reason": Reason.TIMEOUT, "failing_since_us": NOW_US}
    fewer = delay_us(said | failing | {"failures": failures}, jitter)
    more = delay_us(said | failing | {"failures": failures + 1}, jitter)
    assert fewer <= more
    assert HOUR_US <= more <= 7 * DAY_US * 1.25


@settings(max_examples=200, deadline=None)
@given(_healthy, _jitter, st.integers(0, 40 * DAY_US))
def test_a_podcast_that_tells_us_is_polled_less_often_yet_daily(
    said: Record, jitter: float, ago_us: int
) -> None:
    told, freely = delay_us(said | {"hinted_us": NOW_US - ago_us}, jitter), delay_us(said, jitter)
    assert freely <= told <= max(freely, DAY_US)


# Hints


def test_a_notice_makes_a_podcast_due_now() -> None:
    said = state(polled_us=NOW_US - HOUR_US, fetched_us=NOW_US - HOUR_US, next_due_us=NOW_US + HOUR_US)
    hinted = hint(said, NOW_US - 1, NOW_US)
    assert (hinted["next_due_us"], hinted["hinted_us"]) == (NOW_US, NOW_US - 1)


def test_a_notice_of_what_was_fetched_since_changes_nothing() -> None:
    said = state(next_due_us=NOW_US + HOUR_US)
    assert hint(said, NOW_US - 1, NOW_US)["next_due_us"] == NOW_US + HOUR_US


def test_a_notice_from_the_future_is_one_of_now() -> None:
    assert hint(state(next_due_us=NOW_US), NOW_US * 2, NOW_US)["hinted_us"] == NOW_US


def test_a_notice_does_not_break_the_wait_that_a_server_asked_for() -> None:
    asked = NOW_US + 10 * MINUTE_US
    said = state(
        polled_us=NOW_US - HOUR_US, fetched_us=None, retry_after_us=asked, next_due_us=NOW_US + DAY_US
    )
    assert hint(said, NOW_US, NOW_US)["next_due_us"] == asked


def test_a_notice_that_brings_no_change_keeps_the_podcast_polled_as_before() -> None:
    said = state(publications_us=every(DAY_US), hinted_us=NOW_US - HOUR_US, changed_us=NOW_US - DAY_US)
    assert delay_us(said) == delay_us(said | {"hinted_us": None})
    assert delay_us(said | {"changed_us": NOW_US}) == 12 * delay_us(said)


@pytest.mark.parametrize(
    ("said", "floor_us"),
    [
        ({}, 5 * MINUTE_US),
        ({"failures": 3, "failing_since_us": NOW_US, "reason": Reason.TIMEOUT}, HOUR_US),
        ({"failures": 3, "failing_since_us": NOW_US, "reason": Reason.DNS, "tier": Tier.DEAD}, DAY_US),
        ({"failures": 3, "failing_since_us": NOW_US, "reason": Reason.GONE, "tier": Tier.GONE}, DAY_US),
    ],
)
def test_a_flood_of_notices_is_bounded(said: Record, floor_us: int) -> None:
    flooded = state(publications_us=every(7 * DAY_US), next_due_us=NOW_US + 40 * DAY_US) | said
    polls, now_us = 0, NOW_US
    for _ in range(100):
        now_us += floor_us // 10
        flooded = hint(flooded, now_us, now_us)
        if is_due(flooded, now_us):
            polls += 1
            flooded |= {"polled_us": now_us, "next_due_us": now_us + 40 * DAY_US}
    assert polls == 10


# Due


_due_states = st.builds(
    dict,
    polled_us=st.none() | st.just(NOW_US),
    next_due_us=st.none() | st.integers(NOW_US - 2, NOW_US + 2) | st.just(NEVER_US),
)


@given(st.lists(_due_states, max_size=8))
def test_the_frame_of_due_rows_is_the_rows_that_are_due(said: list[Record]) -> None:
    rows = [state(**one) | {"podcast_key": number} for number, one in enumerate(said)]
    frame = pl.DataFrame(rows, schema=STATE)
    expected = [row["podcast_key"] for row in rows if is_due(row, NOW_US)]
    assert due_frame(frame, NOW_US)["podcast_key"].to_list() == expected


def test_a_new_podcast_is_due_at_once() -> None:
    new = new_state(PODCAST_KEY, FEED_URL)
    assert is_due(new, NOW_US)
    assert set(new) == set(STATE)
    assert next_due(new, NOW_US, 0.9).next_due_us == NOW_US
