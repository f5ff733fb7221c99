"""When the marts are due."""

from __future__ import annotations

from orchestration.constants import MARTS_INTERVAL_S, MAX_MARTS_ATTEMPTS, QUIET_S, WHOLE_INTERVAL_S
from orchestration.sensors.marts_plan import Change, Cursor, Outcome, Plan, days_tag, make_plan

NOW = 1_000_000.0


def plan(
    cursor: Cursor | None = None,
    changes: list[Change] | None = None,
    outcome: Outcome = Outcome.NONE,
    is_any_under_way: bool = False,
    since_last_s: float | None = None,
    now: float = NOW,
) -> Plan:
    return make_plan(cursor or Cursor(), changes or [], outcome, is_any_under_way, since_last_s, now)


def test_nothing_new_is_a_reason_to_wait() -> None:
    assert plan() == Plan(Cursor(), False, "nothing new since the last build")


def test_new_requests_make_the_marts_due_with_their_days() -> None:
    due = plan(changes=[Change(7, ("2026-01-02",)), Change(9, ("2026-01-01", "2026-01-02"))])
    assert due.is_due
    assert due.cursor == Cursor(
        built=0, asked=9, attempt=1, days=["2026-01-01", "2026-01-02"], is_whole=True, whole_at=NOW
    )


def test_many_changes_make_one_build() -> None:
    assert plan(changes=[Change(number) for number in range(1, 500)]).cursor.asked == 499


def test_while_a_build_is_under_way_changes_wait_and_the_cursor_stays() -> None:
    asked = Cursor(built=0, asked=5, attempt=1)
    waiting = plan(asked, [Change(8)], Outcome.UNDER_WAY, is_any_under_way=True)
    assert not waiting.is_due
    assert waiting.cursor == asked
    assert waiting.reason == "the marts are being built; 1 changes wait for it"


def test_after_a_successful_build_only_newer_changes_count() -> None:
    done = plan(Cursor(built=0, asked=5, attempt=1, days=["2026-01-01"]), [], Outcome.SUCCEEDED)
    assert not done.is_due
    assert done.cursor == Cursor(built=5, asked=5, whole=5)


def test_a_failed_build_is_tried_again_with_its_days() -> None:
    again = plan(Cursor(built=0, asked=5, attempt=1, days=["2026-01-01"]), [], Outcome.FAILED)
    assert again.is_due
    assert again.cursor.model_dump(include={"asked", "attempt", "days"}) == {
        "asked": 5,
        "attempt": 2,
        "days": ["2026-01-01"],
    }


def test_a_build_that_was_asked_for_but_never_created_is_asked_for_again() -> None:
    assert plan(Cursor(built=0, asked=5, attempt=1), [], Outcome.NONE).is_due


def test_a_failing_build_is_given_up_after_its_last_attempt_and_says_what_to_do() -> None:
    stuck = plan(Cursor(built=0, asked=5, attempt=MAX_MARTS_ATTEMPTS), [], Outcome.FAILED)
    assert not stuck.is_due
    assert "failed 3 times" in stuck.reason
    assert "launch the job by hand" in stuck.reason


def test_something_new_starts_a_given_up_build_again_and_it_covers_the_old_days_too() -> None:
    stuck = Cursor(built=0, asked=5, attempt=MAX_MARTS_ATTEMPTS, days=["2026-01-01"])
    again = plan(stuck, [Change(6, ("2026-01-03",))], Outcome.FAILED)
    assert again.is_due
    assert (again.cursor.asked, again.cursor.attempt) == (6, 1)
    assert again.cursor.days == ["2026-01-01", "2026-01-03"]


def test_builds_keep_their_distance() -> None:
    soon = plan(changes=[Change(1)], since_last_s=MARTS_INTERVAL_S - 1)
    assert not soon.is_due
    assert soon.cursor == Cursor()
    assert plan(changes=[Change(1)], since_last_s=MARTS_INTERVAL_S + 1).is_due


def test_a_tag_with_many_days_stays_short() -> None:
    assert days_tag([]) == "none"
    assert days_tag([f"2026-01-{day:02d}" for day in range(1, 31)]).endswith("2026-01-10 and 20 more")


def test_a_build_is_whole_once_an_hour_and_else_covers_what_is_new() -> None:
    after_whole = Cursor(built=5, asked=5, whole=5, whole_at=NOW)
    soon = plan(after_whole, [Change(8)], now=NOW + 60)
    assert (soon.is_due, soon.cursor.is_whole) == (True, False)
    later = plan(after_whole, [Change(8)], now=NOW + WHOLE_INTERVAL_S)
    assert (later.is_due, later.cursor.is_whole, later.cursor.whole_at) == (
        True,
        True,
        NOW + WHOLE_INTERVAL_S,
    )


def test_what_only_a_whole_build_takes_in_asks_for_one_at_once_and_a_failed_one_holds_up_no_other() -> None:
    after_whole = Cursor(built=5, asked=5, whole=5, whole_at=NOW)
    asked = plan(after_whole, [Change(8, needs_whole=True), Change(9)], now=NOW + 60)
    assert (asked.is_due, asked.cursor.is_whole) == (True, True)
    again = plan(asked.cursor, [Change(10)], Outcome.FAILED, now=NOW + 120)
    assert (again.is_due, again.cursor.is_whole) == (True, False)
    done = plan(again.cursor, [], Outcome.SUCCEEDED, since_last_s=QUIET_S, now=NOW + 300)
    assert (done.is_due, done.cursor.is_whole) == (True, True)


def test_when_nothing_new_comes_a_whole_build_follows_and_then_nothing() -> None:
    only_new = Cursor(built=5, asked=8, attempt=1, is_whole=False, whole=5, whole_at=NOW)
    waiting = plan(only_new, [], Outcome.SUCCEEDED, since_last_s=QUIET_S - 1)
    assert (waiting.is_due, waiting.cursor.built, waiting.cursor.whole) == (False, 8, 5)
    due = plan(waiting.cursor, [], since_last_s=QUIET_S)
    assert (due.is_due, due.cursor.asked, due.cursor.is_whole) == (True, 8, True)
    done = plan(due.cursor, [], Outcome.SUCCEEDED, since_last_s=QUIET_S)
    assert (done.is_due, done.cursor.whole) == (False, 8)
    assert done.reason == "nothing new since the last build"


def test_a_whole_build_that_fails_in_a_quiet_moment_is_given_up_in_the_end() -> None:
    cursor = Cursor(built=8, asked=8, whole=5, whole_at=NOW)
    for attempt in range(1, MAX_MARTS_ATTEMPTS + 1):
        due = plan(cursor, [], Outcome.FAILED if attempt > 1 else Outcome.NONE, since_last_s=QUIET_S)
        assert (due.is_due, due.cursor.attempt) == (True, attempt)
        cursor = due.cursor
    assert "failed 3 times" in plan(cursor, [], Outcome.FAILED, since_last_s=QUIET_S).reason
