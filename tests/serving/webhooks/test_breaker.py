"""When an endpoint rests, is probed and is disabled."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.webhooks import breaker
from serving.webhooks.breaker import PROBE_AFTER, Health
from serving.webhooks.outcomes import Outcome, Result

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
SENT = Result(Outcome.SENT, 200)
BROKEN = Result(Outcome.SERVER_ERROR, 500, detail="500 Internal Server Error")
OURS = (Outcome.INTERRUPTED, Outcome.NOT_SENT)  # our own doing
FAILURES = [outcome for outcome in Outcome if outcome not in (Outcome.SENT, *OURS)]


def after(
    health: Health, result: Result, now_us: int, begun_us: int | None = None
) -> tuple[Health, str | None]:
    """Of a request made at once, unless told otherwise."""
    return breaker.after(health, result, now_us, now_us if begun_us is None else begun_us)


def failed(times: int, gap_us: int = SECOND_US) -> tuple[Health, int]:
    """(health, now) after so many failures in a row."""
    health, now_us = Health(), DAY_US
    for _ in range(times):
        now_us += gap_us
        health, reason = after(health, BROKEN, now_us)
        assert reason is None
    return health, now_us


def test_the_pauses_from_the_fifth_failure_on() -> None:
    pauses = []
    for times in range(1, 12):
        health, now_us = failed(times, gap_us=3600 * SECOND_US)
        pauses.append(max(0, health.paused_until_us - now_us) // SECOND_US)
    assert pauses == [0, 0, 0, 0, 5, 30, 60, 120, 300, 300, 300]
    assert PROBE_AFTER == 5


@pytest.mark.parametrize("times", range(0, 9))
def test_a_success_forgets_the_failures(times: int) -> None:
    health, now_us = failed(times)
    assert after(health, SENT, now_us + 1) == (Health(succeeded_us=now_us + 1), None)


def test_an_interrupted_attempt_says_nothing() -> None:
    health, now_us = failed(6)
    assert after(health, Result(Outcome.INTERRUPTED), now_us + 1) == (health, None)


@pytest.mark.parametrize("outcome", FAILURES)
def test_every_other_outcome_is_a_failure(outcome: Outcome) -> None:
    health, reason = after(Health(succeeded_us=5), Result(outcome), 7)
    assert (health.failures, health.failing_since_us, health.succeeded_us) == (1, 7, 5)
    assert (reason is not None) == (outcome is Outcome.GONE)


def test_410_disables_at_once() -> None:
    health, reason = after(Health(), Result(Outcome.GONE, 410), 7)
    assert reason == "it answered 410 Gone"
    assert health.failures == 1


def test_five_days_without_a_success_disable_at_the_next_failure() -> None:
    health, _ = after(Health(), BROKEN, DAY_US)
    sooner, reason = after(health, BROKEN, 6 * DAY_US - 1)
    assert (sooner.failures, reason) == (2, None)
    later, reason = after(health, BROKEN, 6 * DAY_US)
    assert later.failures == 2
    assert reason == (
        "all 2 attempts since 1970-01-02 00:00 UTC failed, the last one: 500 Internal Server Error"
    )
    recovered, _ = after(health, SENT, 5 * DAY_US)
    assert after(recovered, BROKEN, 9 * DAY_US)[1] is None


def test_retry_after_pauses_the_endpoint_from_the_first_failure_on() -> None:
    busy = Result(Outcome.BUSY, 429, retry_after_s=60)
    health, _ = after(Health(), busy, DAY_US)
    assert health.paused_until_us == DAY_US + 60 * SECOND_US
    # Answers to requests that were under way do not shorten it.
    for result in (SENT, BROKEN, replace(busy, retry_after_s=1)):
        assert after(health, result, DAY_US + 1)[0].paused_until_us == health.paused_until_us


def test_the_longer_of_both_pauses_counts() -> None:
    health, now_us = failed(7)
    for retry_after_s, pause_s in ((3600, 3600), (3, 120), (None, 120)):
        found, _ = after(health, replace(BROKEN, retry_after_s=retry_after_s), now_us + DAY_US)
        assert found.paused_until_us == now_us + DAY_US + pause_s * SECOND_US


RESULTS = st.builds(
    Result,
    st.sampled_from([outcome for outcome in Outcome if outcome is not Outcome.GONE]),
    retry_after_s=st.none() | st.integers(0, 86_400),
)


@given(st.lists(st.tuples(RESULTS, st.integers(1, 2 * DAY_US))))
def test_whatever_happens_the_health_is_sound(story: list[tuple[Result, int]]) -> None:
    health, now_us = Health(), 0
    run: list[int] = []  # instants of the failures since the last success
    for result, gap_us in story:
        now_us += gap_us
        if result.is_success:
            run = []
        elif result.is_failure:
            run.append(now_us)
        health, reason = after(health, result, now_us)
        assert health.failures == len(run)
        assert health.failing_since_us == (run[0] if run else None)
        assert health.paused_until_us <= now_us + DAY_US
        if result.is_failure:
            assert (reason is not None) == (now_us - run[0] >= 5 * DAY_US)
            assert (health.paused_until_us > now_us) or (len(run) < PROBE_AFTER)
        else:
            assert reason is None


def test_requests_that_were_out_when_one_failed_do_not_count_again() -> None:
    health, _ = after(Health(), BROKEN, DAY_US)
    for number in range(1, 8):
        health, _ = after(health, BROKEN, DAY_US + number, begun_us=DAY_US - number)
    assert (health.failures, health.paused_until_us, health.failed_us) == (1, 0, DAY_US)
    health, _ = after(health, BROKEN, DAY_US + 9, begun_us=DAY_US + 8)
    assert health.failures == 2


def test_a_message_that_could_not_be_written_says_nothing_of_its_endpoint() -> None:
    health, _ = after(Health(), BROKEN, DAY_US)
    assert after(health, Result(Outcome.NOT_SENT), DAY_US + 1) == (health, None)
