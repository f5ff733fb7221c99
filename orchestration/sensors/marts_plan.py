"""Whether the marts are due: a pure function of what was materialised, the last build and the cursor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel

from orchestration.clock import has_passed
from orchestration.constants import MARTS_INTERVAL_S, MAX_MARTS_ATTEMPTS, QUIET_S, WHOLE_INTERVAL_S

_DAYS_IN_TAG = 10


class Outcome(StrEnum):
    """How the build this sensor asked for last went."""

    NONE = "none"  # never asked for, or not to be found
    UNDER_WAY = "under way"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True)
class Change:
    """One materialisation of something the marts are made from."""

    storage_id: int
    days: tuple[str, ...] = ()  # event days it changed; none for the catalogue
    needs_whole: bool = False  # only a whole build takes it in


class Cursor(BaseModel):
    """`built` is covered by a successful build; `asked` is what the last requested build covers.

    A whole build also makes the marts anew that take the whole history, and tests every model.
    """

    built: int = 0
    asked: int = 0
    attempt: int = 0  # of the build up to `asked`
    days: list[str] = []  # event days between `built` and `asked`
    is_whole: bool = True  # the build up to `asked`
    whole: int = 0  # what the last successful whole build covers
    whole_at: float = 0.0  # when it was asked for


@dataclass(frozen=True)
class Plan:
    """A build to request, or why there is none; and the cursor to keep either way."""

    cursor: Cursor
    is_due: bool
    reason: str


def make_plan(
    cursor: Cursor,
    changes: Sequence[Change],
    outcome: Outcome,
    is_any_under_way: bool,
    since_last_s: float | None,
    now: float,
) -> Plan:
    """Ask for one build that covers all changes since the last successful one.

    `changes` are those after `cursor.asked`, oldest first; `outcome` is that of the build asked for last;
    `since_last_s` is the time since any build was requested. A build counts only once it has succeeded, so
    work is never lost; a failing one is tried again, 3 times, until something new arrives. It is whole when
    a change needs that, when the last whole one is an hour old, or when nothing new has come for two minutes.
    One that fails leaves its change to the other two reasons: what it does not touch stays fresh.
    """
    if is_any_under_way:
        waiting = f"; {len(changes)} changes wait for it" if changes else ""
        return Plan(cursor, False, f"the marts are being built{waiting}")
    if outcome is Outcome.SUCCEEDED:
        whole = cursor.asked if cursor.is_whole else cursor.whole
        cursor = Cursor(built=cursor.asked, asked=cursor.asked, whole=whole, whole_at=cursor.whole_at)
    is_idle = not changes and cursor.asked == cursor.built
    if is_idle and cursor.whole == cursor.built:
        return Plan(cursor, False, "nothing new since the last build")
    is_whole = (
        any(change.needs_whole for change in changes)
        or has_passed(WHOLE_INTERVAL_S, cursor.whole_at, now)
        or (is_idle and (since_last_s or QUIET_S) >= QUIET_S)
    )
    if is_idle and not is_whole:
        return Plan(cursor, False, "nothing new since the last build; the whole one waits for a quiet moment")
    if not changes and cursor.attempt >= MAX_MARTS_ATTEMPTS:
        return Plan(
            cursor,
            False,
            f"the marts failed {cursor.attempt} times: look at the last run of job `marts`, mend the cause "
            "and launch the job by hand; new log files start it again too",
        )
    if since_last_s is not None and 0 <= since_last_s < MARTS_INTERVAL_S:  # below: the clock was set back
        return Plan(
            cursor, False, f"the last build is {since_last_s:.0f} s old; wait for {MARTS_INTERVAL_S} s"
        )
    days = sorted({*cursor.days, *(day for change in changes for day in change.days)})
    attempt = 1 if changes else cursor.attempt + 1
    asked = Cursor(
        built=cursor.built,
        asked=changes[-1].storage_id if changes else cursor.asked,
        attempt=attempt,
        days=days,
        is_whole=is_whole,
        whole=cursor.whole,
        whole_at=now if is_whole else cursor.whole_at,
    )
    return Plan(asked, True, f"{len(changes)} changes" if changes else f"attempt {attempt}")


def days_tag(days: Sequence[str]) -> str:
    """The changed days, short enough for a tag."""
    if not days:
        return "none"
    more = f" and {len(days) - _DAYS_IN_TAG} more" if len(days) > _DAYS_IN_TAG else ""
    return ", ".join(days[:_DAYS_IN_TAG]) + more
