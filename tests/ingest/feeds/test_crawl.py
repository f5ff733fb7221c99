"""What an answer leaves behind: failures, validators, gone and back, moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from ingest.feeds.crawl import Judged, Noted, after_answer, new_state, scheduled
from ingest.feeds.identity import episode_key
from ingest.feeds.moves import is_same_feed, moved, sighted, to_prove, unproved
from ingest.feeds.reasons import FeedUnreadable, Reason
from ingest.feeds.schedule import NEVER_US, next_due
from ingest.feeds.schema import STATE, Record, Tier
from ingest.schema import DAY_US
from tests.ingest.feeds.made import (
    FEED_URL,
    HOUR_US,
    NOW_US,
    PODCAST_KEY,
    Store,
    canonical,
    episode,
    feed,
    fields,
)

NEW_URL = "https://new-host.example/show.xml"


@dataclass(frozen=True)
class Answer:
    """As of ingest.feeds.fetch."""

    status: int | None = 200
    reason: Reason | None = None
    detail: str = ""
    etag: str | None = None
    last_modified: str | None = None
    permanent_url: str | None = None
    max_age_s: int | None = None
    retry_after_s: int | None = None


GOOD = Answer(etag='"1"', last_modified="Thu, 28 May 2026 10:00:00 GMT", max_age_s=300)
UNCHANGED = Answer(status=304, etag='"1"', last_modified="Thu, 28 May 2026 10:00:00 GMT")
NOT_FOUND = Answer(status=404, reason=Reason.NOT_FOUND, detail="404")
GONE = Answer(status=410, reason=Reason.GONE, detail="410")
NO_NAME = Answer(status=None, reason=Reason.DNS, detail="does not resolve")
TIMEOUT = Answer(status=None, reason=Reason.TIMEOUT, detail="30 s")


def answered(state: Record, answer: Answer, now_us: int = NOW_US, **more: Any) -> Noted:
    """Noted and scheduled, as the sweep does."""
    noted = after_answer(state, answer, now_us, **more)
    assert set(noted.state) == set(STATE)
    return Noted(scheduled(noted.state, next_due(noted.state, now_us, 0.5)), noted.changes)


def fetched(**said: Any) -> Record:
    state = answered(new_state(PODCAST_KEY, FEED_URL), GOOD, judged=Judged(body_hash=1)).state
    return state | said


def test_a_good_answer_leaves_validators_and_no_reason() -> None:
    state = fetched()
    assert (state["status"], state["reason"], state["polls"], state["failures"]) == (200, None, 1, 0)
    assert (state["etag"], state["last_modified"]) == ('"1"', "Thu, 28 May 2026 10:00:00 GMT")
    assert (state["body_hash"], state["fetched_us"], state["max_age_s"]) == (1, NOW_US, 300)


def test_an_unchanged_answer_is_good_and_keeps_the_body() -> None:
    state = answered(fetched(), UNCHANGED, NOW_US + 1).state
    assert (state["status"], state["body_hash"], state["fetched_us"]) == (304, 1, NOW_US + 1)
    assert state["max_age_s"] is None


def test_a_failure_keeps_what_the_last_good_answer_left() -> None:
    state = answered(fetched(), Answer(503, Reason.BUSY, "503", retry_after_s=120), NOW_US + 5).state
    assert (state["reason"], state["failures"], state["failing_since_us"]) == ("busy", 1, NOW_US + 5)
    assert (state["etag"], state["body_hash"], state["fetched_us"]) == ('"1"', 1, NOW_US)
    assert state["retry_after_us"] == NOW_US + 5 + 120_000_000
    state = answered(state, TIMEOUT, NOW_US + 9).state
    assert (state["failures"], state["failing_since_us"], state["retry_after_us"]) == (2, NOW_US + 5, None)


def test_a_good_answer_ends_the_failures() -> None:
    failing = answered(fetched(), TIMEOUT).state
    state = answered(failing, UNCHANGED).state
    assert (state["failures"], state["failing_since_us"], state["reason"], state["detail"]) == (
        0,
        None,
        None,
        None,
    )


def test_retry_after_is_capped_at_a_day() -> None:
    state = answered(fetched(), Answer(429, Reason.BUSY, "", retry_after_s=10**9)).state
    assert state["retry_after_us"] == NOW_US + DAY_US


def test_a_document_that_cannot_be_read_is_a_failure_and_its_validators_are_not_kept() -> None:
    broken = FeedUnreadable(Reason.HTML_PAGE, "a page")
    state = answered(fetched(), Answer(etag='"2"'), unreadable=broken).state
    assert (state["reason"], state["detail"], state["failures"], state["etag"]) == (
        "html_page",
        "a page",
        1,
        '"1"',
    )


def test_a_damped_document_is_no_failure_and_its_validators_are_not_kept() -> None:
    damped = FeedUnreadable(Reason.FLAPPING, "alternates")
    noted = answered(fetched(), Answer(etag='"2"'), judged=Judged(body_hash=2), unreadable=damped)
    assert (noted.state["reason"], noted.state["failures"]) == ("flapping", 0)
    assert (noted.state["etag"], noted.state["body_hash"]) == ('"1"', 1)
    assert noted.state["tier_reason"].endswith("; alternates between contents")


@pytest.mark.parametrize("again", [(UNCHANGED, None), (GOOD, Judged(body_hash=1))])
def test_the_last_good_content_again_ends_a_row_of_damped_ones(again: tuple[Answer, Judged | None]) -> None:
    flapping = fetched(recent_hashes=[1, 2, 1, 2, 2], recent_us=[1, 2, 3, 4, 5], flaps=2)
    state = answered(flapping, again[0], judged=again[1]).state
    assert (state["recent_hashes"], state["flaps"]) == ([1, 2, 1, 2, 2, 1], 0)


# Gone and back


def test_410_three_times_over_three_days_is_gone_and_told_once() -> None:
    state, told = fetched(), []
    for days in (0, 1, 2, 3, 4):
        noted = answered(state, GONE, NOW_US + days * DAY_US)
        state, told = noted.state, told + noted.changes
    assert [change["change"] for change in told] == ["podcast.gone"]
    assert told[0]["detected_us"] == NOW_US + 3 * DAY_US
    assert fields(told[0])["tier"][1] == "gone"
    assert (state["tier"], state["next_due_us"], state["sequence"]) == ("gone", NEVER_US, 1)


def test_410_three_times_on_one_day_is_not_gone() -> None:
    state = fetched()
    for hours in range(9):
        state = answered(state, GONE, NOW_US + hours * HOUR_US).state
    assert state["tier"] != Tier.GONE


def test_another_answer_ends_the_row_of_410_and_a_broken_line_does_not() -> None:
    state = answered(answered(fetched(), GONE).state, TIMEOUT).state
    assert state["gone_seen"] == 1
    assert answered(state, NOT_FOUND).state["gone_seen"] == 0


@pytest.mark.parametrize("answer", [NOT_FOUND, NO_NAME])
def test_thirty_days_without_a_name_or_a_page_is_dead_and_told_once(answer: Answer) -> None:
    state, told = fetched(), []
    for days in (0, 7, 14, 21, 28, 30, 60):
        noted = answered(state, answer, NOW_US + days * DAY_US)
        state, told = noted.state, told + noted.changes
    assert [(change["change"], fields(change)["tier"]) for change in told] == [
        ("podcast.gone", ("regular", "dead"))
    ]
    assert state["next_due_us"] - (NOW_US + 60 * DAY_US) <= 30 * DAY_US


def test_thirty_days_of_timeouts_are_not_dead() -> None:
    state = answered(answered(fetched(), TIMEOUT).state, TIMEOUT, NOW_US + 99 * DAY_US).state
    assert state["tier"] == Tier.REGULAR


@pytest.mark.parametrize("tier", [Tier.DEAD, Tier.GONE])
@pytest.mark.parametrize("answer", [UNCHANGED, GOOD])
def test_the_first_good_answer_recovers(tier: Tier, answer: Answer) -> None:
    lost = fetched(tier=tier.value, failures=9, failing_since_us=1, gone_seen=9, gone_since_us=1, sequence=7)
    judged = Judged(body_hash=2) if answer is GOOD else None
    noted = answered(lost, answer, judged=judged)
    (change,) = noted.changes
    assert (change["change"], change["sequence"]) == ("podcast.recovered", 8)
    assert fields(change) == {"tier": (tier.value, "regular")}
    assert (noted.state["tier"], noted.state["gone_seen"], noted.state["sequence"]) == ("regular", 0, 8)
    assert answered(noted.state, UNCHANGED).changes == []


def test_a_dead_podcast_that_answers_410_becomes_gone() -> None:
    state = fetched(tier="dead", failures=9, failing_since_us=1)
    for days in (0, 24, 48):
        noted = answered(state, GONE, NOW_US + days * DAY_US)
        state = noted.state
    assert fields(noted.changes[0]) == {"tier": ("dead", "gone")}


# Moves: the first signal


def redirected(state: Record, days: float, **more: Any) -> Record:
    answer = Answer(etag='"1"', permanent_url=NEW_URL)
    return answered(state, answer, NOW_US + int(days * DAY_US), **more).state


def test_a_permanent_redirect_counts_when_seen_three_times_over_two_days() -> None:
    state = fetched()
    for days in (0, 1):
        state = redirected(state, days, judged=Judged(body_hash=2))
        assert to_prove(state, NOW_US + 9 * DAY_US) is None
    state = redirected(state, 1.5, judged=Judged(body_hash=2))
    assert to_prove(state, NOW_US + int(1.5 * DAY_US)) is None
    assert to_prove(state, NOW_US + 2 * DAY_US) == NEW_URL
    assert state["feed_url"] == FEED_URL


def test_a_redirect_that_leads_to_another_podcast_never_counts() -> None:
    state = redirected(fetched(), 0, judged=Judged(body_hash=2, is_same=False))
    for days in range(1, 9):
        state = redirected(state, days, judged=Judged(body_hash=2))
    assert to_prove(state, NOW_US + 9 * DAY_US) is None


def test_a_redirect_that_ends_is_forgotten() -> None:
    state = redirected(fetched(), 0, judged=Judged(body_hash=2))
    assert answered(state, GOOD, judged=Judged(body_hash=3)).state["move_url"] is None


def test_an_announced_url_is_seen_again_at_each_unchanged_answer() -> None:
    state = answered(fetched(), GOOD, judged=Judged(body_hash=2, announced_url=NEW_URL)).state
    state = answered(state, UNCHANGED, NOW_US + DAY_US).state
    state = answered(state, GOOD, NOW_US + 2 * DAY_US, judged=Judged(body_hash=2)).state
    assert to_prove(state, NOW_US + 2 * DAY_US) == NEW_URL


def test_a_feed_that_announces_itself_does_not_move() -> None:
    state = answered(fetched(), GOOD, judged=Judged(body_hash=2, announced_url=FEED_URL)).state
    assert (state["move_url"], state["move_seen"]) == (None, 0)


def test_a_failure_neither_counts_nor_forgets() -> None:
    state = redirected(fetched(), 0, judged=Judged(body_hash=2))
    assert answered(state, TIMEOUT).state["move_seen"] == 1


# … and the second


def test_a_proved_move_is_told_and_the_feed_fetched_there() -> None:
    state = fetched(move_url=NEW_URL, move_seen=3, move_since_us=1, sequence=4)
    state, (change,) = moved(state, True, NOW_US)
    assert (change["change"], change["sequence"], change["is_minor"]) == ("podcast.moved", 5, False)
    assert fields(change) == {"feed_url": (FEED_URL, NEW_URL)}
    assert (state["feed_url"], state["move_url"], state["etag"]) == (NEW_URL, None, None)
    assert state["podcast_key"] == PODCAST_KEY


def test_a_move_to_https_alone_is_minor() -> None:
    state = fetched(feed_url="http://a.example/rss", move_url="https://a.example/rss", move_seen=3)
    _, (change,) = moved(state, True, NOW_US)
    assert change["is_minor"]


def test_a_refused_move_is_not_tried_again() -> None:
    state, changes = moved(fetched(move_url=NEW_URL, move_seen=3, move_since_us=1), False, NOW_US)
    assert changes == []
    state = sighted(state, NEW_URL, True, NOW_US)
    assert to_prove(state, NOW_US + 99 * DAY_US) is None
    assert state["feed_url"] == FEED_URL


def test_a_place_that_cannot_be_read_is_tried_again_after_two_days() -> None:
    state = unproved(fetched(move_url=NEW_URL, move_seen=3, move_since_us=1), NOW_US)
    for _ in range(5):
        state = sighted(state, NEW_URL, True, NOW_US)
    assert to_prove(state, NOW_US + DAY_US) is None
    assert to_prove(state, NOW_US + 2 * DAY_US) == NEW_URL


def _is_same(here: list[Record], there: list[Record], **said: Any) -> bool:
    store = Store()
    store.poll(here, podcast_guid="guid-a", guid_source=said.pop("known_source", "derived"))
    assert store.podcast is not None and store.items is not None
    candidate = feed(there, **said)
    return is_same_feed(store.podcast, store.items, candidate, canonical(candidate))


TEN = [episode(number) for number in range(10, 0, -1)]


def test_the_same_declared_guid_proves_it_and_a_derived_one_does_not() -> None:
    other = [episode(99)]
    declared = {"podcast_guid": "guid-a", "guid_source": "declared"}
    assert _is_same(TEN, other, known_source="declared", **declared)
    assert not _is_same(TEN, other, **declared)
    assert not _is_same(TEN, other, known_source="declared", podcast_guid="guid-a", guid_source="derived")


@pytest.mark.parametrize(("common", "is_same"), [(10, True), (8, True), (7, False), (0, False)])
def test_four_fifths_of_the_episodes_prove_it(common: int, is_same: bool) -> None:
    # edited there, so that only their guids are the same
    there = [episode(n, description="there") for n in range(1, common + 1)]
    there += [episode(n) for n in range(101, 111 - common)]
    assert _is_same(TEN, there) is is_same


def test_short_guids_prove_nothing_and_equal_items_do() -> None:
    here = [episode(number, guid=str(number)) for number in range(9, 0, -1)]
    assert not _is_same(here, [{**item, "title": "another", "enclosure_url": None} for item in here])
    assert _is_same(here, here)


def test_the_key_of_an_episode_is_that_of_its_guid() -> None:
    store = Store()
    store.poll([episode(1)])
    assert list(store.episodes) == [episode_key(PODCAST_KEY, "guid-number-1")]
