"""The words of `earshot status`: a podcast's tier explained in one line, and its facts."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earshot.podcast_status import explained, status_of
from ingest.feeds.reasons import Reason
from ingest.feeds.schema import STATE, Record, Tier
from registry.podcasts import Podcast, Tracking
from registry.tables import PodcastState

S, MIN, H, D = 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000
NOW = 1_788_220_800 * S  # 2026-09-01 00:00 UTC


def podcast(state: PodcastState = PodcastState.ACTIVE, reason: str | None = None) -> Podcast:
    return Podcast(
        podcast_key=0x1203,  # shard 3
        feed_url="https://a.example.com/feed.xml",
        original_url="https://a.example.com/feed.xml",
        podcast_guid=None,
        itunes_id=None,
        podcastindex_id=None,
        show_id=None,
        since_us=NOW - 40 * D,
        state=state,
        reason=reason,
        trackings=(Tracking("acme", ("customer", "lead"), NOW - 40 * D), Tracking("other", (), NOW)),
    )


def crawled(**known: Any) -> Record:
    row: Record = dict.fromkeys(STATE)
    return row | {
        "tier": Tier.ACTIVE,
        "tier_reason": "active: publishes every 2 days",
        "polled_us": NOW - 20 * MIN,
        "next_due_us": NOW + 40 * MIN,
        "failures": 0,
        **known,
    }


@pytest.mark.parametrize(
    ("of", "state", "line"),
    [
        (podcast(), None, "not polled yet: waits for the next sweep of shard 3"),
        (podcast(), dict.fromkeys(STATE), "not polled yet: waits for the next sweep of shard 3"),
        (podcast(), crawled(), "active: publishes every 2 days; due in 40 min"),
        (podcast(), crawled(next_due_us=NOW - 3 * H), "active: publishes every 2 days; was due 3 h ago"),
        (
            podcast(PodcastState.GONE, "410"),
            crawled(tier=Tier.GONE, tier_reason="gone: 410 three times"),
            "gone: 410 three times; not polled",
        ),
        (
            podcast(PodcastState.DEAD, "dns"),
            crawled(tier=Tier.DEAD, tier_reason="dead: no answer in 30 days", next_due_us=NOW + 20 * D),
            "dead: no answer in 30 days; due in 20 d",
        ),
        (podcast(PodcastState.DEREGISTERED, "acme left"), crawled(), "not polled: acme left"),
    ],
)
def test_one_line_says_when_it_is_polled_and_why(of: Podcast, state: Record | None, line: str) -> None:
    assert explained(of, state, NOW) == line
    assert status_of(of, state, NOW).explanation == line


def test_times_are_told_with_their_distance() -> None:
    told = status_of(podcast(), crawled(fetched_us=NOW - 119 * S, changed_us=NOW - 3 * D), NOW)
    assert told.last_poll == "2026-08-31 23:40:00 UTC (20 min ago)"
    assert told.last_good_answer == "2026-08-31 23:58:01 UTC (119 s ago)"
    assert told.last_change == "2026-08-29 00:00:00 UTC (3 d ago)"
    assert told.next_poll == "2026-09-01 00:40:00 UTC (in 40 min)"
    assert told.last_notice is None
    late = status_of(podcast(), crawled(next_due_us=NOW - 3 * H), NOW)
    assert late.next_poll == "with the next sweep; was due 2026-08-31 21:00:00 UTC (3 h ago)"
    assert told.tracked_by == ("acme: customer, lead; since 2026-07-23", "other; since 2026-09-01")


def test_errors_are_told_with_their_count_and_age() -> None:
    failing = crawled(
        status=None,
        reason=Reason.TIMEOUT,
        detail="30 s are over",
        failures=3,
        failing_since_us=NOW - 5 * H,
    )
    assert status_of(podcast(), failing, NOW).error == "timeout (30 s are over), 3 times in a row, for 5 h"
    once = crawled(status=503, reason=Reason.BUSY, failures=1)
    told = status_of(podcast(), once, NOW)
    assert (told.http_status, told.error) == (503, "busy")
    assert status_of(podcast(), crawled(status=304), NOW).error is None


def test_a_move_that_waits_for_its_second_signal_is_told() -> None:
    moving = crawled(move_url="https://new.example.com/", move_seen=2, move_since_us=NOW - D)
    assert (
        status_of(podcast(), moving, NOW).moving_to
        == "https://new.example.com/ (seen 2 times, for 24 h; it takes 3 times over 2 d, and the same guid or"
        " episodes there)"
    )
    refused = crawled(move_url="https://new.example.com/", move_seen=0, move_since_us=NOW - D)
    assert (
        status_of(podcast(), refused, NOW).moving_to
        == "no: what is at https://new.example.com/ is another podcast"
    )


def test_a_podcast_that_is_not_polled_has_no_next_poll() -> None:
    assert status_of(podcast(PodcastState.DEREGISTERED), crawled(), NOW).next_poll is None
    assert status_of(podcast(), crawled(tier=Tier.GONE), NOW).next_poll is None


instants = st.none() | st.integers(NOW - 9999 * D, NOW + 9999 * D)


@given(
    st.sampled_from(PodcastState),
    st.fixed_dictionaries(
        {
            "tier": st.none() | st.sampled_from(Tier),
            "tier_reason": st.none() | st.text(max_size=9),
            "reason": st.none() | st.sampled_from(Reason),
            "detail": st.none() | st.text(max_size=9),
            "failures": st.none() | st.integers(0, 9),
            **{name: instants for name, kind in STATE.items() if name.endswith("_us") and kind == pl.Int64},
        }
    ),
)
def test_every_state_has_one_line(state: PodcastState, known: Record) -> None:
    told = status_of(podcast(state), crawled(**known), NOW)
    assert told.explanation and told.explanation.count("\n") <= (known["tier_reason"] or "").count("\n")
