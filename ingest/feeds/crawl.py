"""The bookkeeping of a poll: what an answer leaves in the crawl state, and whether a podcast is gone or back.

One poll, in this order (the sweep does the I/O):

    good 200, new body   parsed = parse(body, Known of the ITEMS row)   else `unreadable`
                         detected = detect(previous, parsed, …)         → rows, changes, `damped`
    every answer         noted = after_answer(state, answer, now, …)    → state, changes
    then                 due = schedule.next_due(state, now, jitter)    → `scheduled`
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from ingest.feeds import flaps
from ingest.feeds.diff import FieldChange
from ingest.feeds.moves import sighted
from ingest.feeds.reasons import FeedUnreadable, Reason
from ingest.feeds.rhythm import rhythm_of
from ingest.feeds.schedule import CACHE_CAP_US, SECOND_US, Due, living_tier, lost_tier
from ingest.feeds.schema import STATE, ChangeType, Record, Tier
from ingest.feeds.told import change_row, told

_COUNTS = (
    "sequence", "polls", "failures", "gone_seen", "move_seen", "flaps", "deltas", "audits", "mismatches",
)  # fmt: skip
_LISTS = ("publications_us", "skip_hours", "skip_days", "recent_hashes", "recent_us")


class Answered(Protocol):
    """What is read of `ingest.feeds.fetch.Answer`."""

    @property
    def status(self) -> int | None: ...
    @property
    def reason(self) -> Reason | None: ...
    @property
    def detail(self) -> str: ...
    @property
    def etag(self) -> str | None: ...
    @property
    def last_modified(self) -> str | None: ...
    @property
    def permanent_url(self) -> str | None: ...
    @property
    def max_age_s(self) -> int | None: ...
    @property
    def retry_after_s(self) -> int | None: ...


@dataclass(frozen=True)
class Judged:
    """A body that was read. `is_same`: `moves.is_same_feed` of it, where a permanent redirect led there."""

    body_hash: int  # xxh3 of the decompressed body
    announced_url: str | None = None  # itunes:new-feed-url, normalised
    is_same: bool = True


@dataclass(frozen=True)
class Noted:
    """The state after the poll, and what it tells: podcast.gone, podcast.recovered."""

    state: Record
    changes: list[Record] = field(default_factory=list)


def new_state(podcast_key: int, feed_url: str) -> Record:
    """The STATE row of a podcast that was never polled; it is due at once."""
    empty: Record = dict.fromkeys(STATE)
    counts, lists = dict.fromkeys(_COUNTS, 0), {name: list[int]() for name in _LISTS}
    return {
        **empty,
        **counts,
        **lists,
        "podcast_key": podcast_key,
        "feed_url": feed_url,
        "is_complete": False,
    }


def after_answer(
    state: Record,
    answer: Answered,
    now_us: int,
    *,
    judged: Judged | None = None,
    unreadable: FeedUnreadable | None = None,
) -> Noted:
    """The state after an answer; of a body that was parsed, the state that `detect` returned.

    judged: of a 200 whose body was read; with the body hash of the last one where it is the same body.
    unreadable: why a body brought no new record: what the parser raised, or `Detected.damped`.
    """
    reason, detail = (unreadable.reason, unreadable.detail) if unreadable else (answer.reason, answer.detail)
    polled = state | {
        "polls": (state["polls"] or 0) + 1,
        "polled_us": now_us,
        "status": answer.status,
        "reason": reason.value if reason else None,
        "detail": detail or None,
        "retry_after_us": _later(now_us, answer.retry_after_s),
    }
    if reason is not None and reason is not Reason.FLAPPING:
        return _failed(polled, answer, now_us)
    return _answered(polled, answer, judged, is_damped=reason is Reason.FLAPPING, now_us=now_us)


def scheduled(state: Record, due: Due) -> Record:
    """The state with when it is polled next, and why."""
    return state | {"tier": due.tier.value, "tier_reason": due.reason, "next_due_us": due.next_due_us}


def _answered(state: Record, answer: Answered, judged: Judged | None, is_damped: bool, now_us: int) -> Noted:
    is_same_body = answer.status == 304 or (judged is not None and judged.body_hash == state["body_hash"])
    after = state | {
        "fetched_us": now_us,
        "failures": 0,
        "failing_since_us": None,
        "gone_seen": 0,
        "gone_since_us": None,
        "max_age_s": answer.max_age_s,
    }
    if is_same_body:
        after = flaps.seen_again(after, now_us)
    if not is_damped:
        # Only of content that was taken: a 304 to these says that the last good record still holds.
        after |= {"etag": answer.etag, "last_modified": answer.last_modified}
        if judged is not None:
            after["body_hash"] = judged.body_hash
        # What the document announced stays announced while it is the same document.
        announced = state["move_url"] if is_same_body else judged.announced_url if judged else None
        after = sighted(after, answer.permanent_url or announced, judged is None or judged.is_same, now_us)
    if state["tier"] not in (Tier.DEAD, Tier.GONE):
        return Noted(after)
    tier = living_tier(after, rhythm_of(after, now_us))
    recovered = change_row(
        ChangeType.PODCAST_RECOVERED, [FieldChange("tier", state["tier"], tier.value, False)]
    )
    after, changes = told(after | {"tier": tier.value}, [recovered], now_us)
    return Noted(after, changes)


def _failed(state: Record, answer: Answered, now_us: int) -> Noted:
    """What a network failure says of 410 is nothing; any other answer ends the row of them."""
    after = state | {
        "failures": (state["failures"] or 0) + 1,
        "failing_since_us": state["failing_since_us"] or now_us,
        "max_age_s": None,
    }
    if answer.status == 410:
        after |= {
            "gone_seen": (state["gone_seen"] or 0) + 1,
            "gone_since_us": state["gone_since_us"] or now_us,
        }
    elif answer.status is not None:
        after |= {"gone_seen": 0, "gone_since_us": None}
    tier = lost_tier(after, now_us)
    if tier is None or tier == state["tier"]:
        return Noted(after)
    gone = change_row(ChangeType.PODCAST_GONE, [FieldChange("tier", state["tier"], tier.value, False)])
    after, changes = told(after | {"tier": tier.value}, [gone], now_us)
    return Noted(after, changes)


def _later(now_us: int, seconds: int | None) -> int | None:
    return None if seconds is None else now_us + min(seconds * SECOND_US, CACHE_CAP_US)
