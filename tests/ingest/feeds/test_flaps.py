"""A feed that alternates between contents is told once, and as it is when it settles."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.feeds.flaps import WINDOW_US, last_good, observed, seen_again
from ingest.feeds.reasons import Reason
from ingest.feeds.schema import Record
from tests.ingest.feeds.made import HOUR_US, MINUTE_US, Store, episode, fields, types

A, B, C = [episode(2), episode(1)], [episode(2, title="b"), episode(1)], [episode(2, title="c"), episode(1)]


def polled(store: Store, *contents: list[Record], after_us: int = 10 * MINUTE_US) -> list[list[str]]:
    return [types(store.poll(content, after_us=after_us)) for content in contents]


def title(store: Store) -> str:
    return str(next(row["title"] for row in store.episodes.values() if row["guid"] == "guid-number-2"))


def test_a_single_revert_is_a_change_and_is_told() -> None:
    assert polled(Store(), A, B, A)[1:] == [["episode.updated"], ["episode.updated"]]


def test_from_the_second_return_on_the_last_good_record_stays() -> None:
    store = Store()
    assert polled(store, A, B, A, B, A, B, B)[3:] == [[], [], [], []]
    assert title(store) == "Episode 2"
    assert store.state["sequence"] == 3


def test_a_damped_poll_says_why_and_writes_no_row() -> None:
    store = Store()
    polled(store, A, B, A)
    detected = store.poll(B)
    assert detected.damped is not None
    assert detected.damped.reason is Reason.FLAPPING
    assert "2 contents" in detected.damped.detail
    assert (detected.podcast, detected.items, detected.episodes, detected.changes) == (None, None, [], [])


def test_three_polls_in_a_row_settle_it_and_the_change_is_told() -> None:
    store = Store()
    assert polled(store, A, B, A, B, B, B)[3:] == [[], [], ["episode.updated"]]
    assert fields(store.changes[-1]) == {"title": ("Episode 2", "b")}


def test_an_unchanged_answer_in_between_is_the_last_good_content_again() -> None:
    store = Store()
    polled(store, A, B, A, B, B)
    store.state = seen_again(store.state, store.now_us + 1)
    assert polled(store, B, B, B) == [[], [], ["episode.updated"]]


def test_a_day_after_the_last_change_told_it_is_told_again() -> None:
    store = Store()
    polled(store, A, B, A)
    told: list[str] = []
    for number in range(200):  # 33 hours of ten minutes
        told += types(store.poll(B if number % 2 == 0 else A, after_us=10 * MINUTE_US))
    assert told == ["episode.updated"]


def test_a_content_never_seen_is_told_at_once_while_others_alternate() -> None:
    store = Store()
    polled(store, A, B, A, B)
    assert polled(store, C) == [["episode.updated"]]
    assert title(store) == "c"


def test_three_contents_in_turn_are_damped_too() -> None:
    assert polled(Store(), A, B, C, A, B, C, A, B)[3:] == [["episode.updated"], [], [], [], []]


def test_contents_that_alternate_by_the_day_are_changes() -> None:
    told = polled(Store(), *[A, B] * 4, after_us=25 * HOUR_US)
    assert told[1:] == [["episode.updated"]] * 7


def test_an_old_content_that_comes_back_after_long_is_the_first_return() -> None:
    store = Store()
    store.poll(A)
    store.poll(B, after_us=30 * WINDOW_US)
    assert polled(store, A, B, A) == [["episode.updated"], [], []]


def test_tokens_that_change_at_every_fetch_do_not_hide_the_alternation() -> None:
    store = Store()
    told = []
    for number in range(6):
        url = f"https://media.example.fm/2.mp3?token={number}"
        told.append(store.poll([episode(2, title="ab"[number % 2], enclosure_url=url), episode(1)]).damped)
    assert [damped is not None for damped in told] == [False, False, False, True, False, True]


def test_an_episode_that_comes_and_goes_is_damped() -> None:
    store = Store()
    with_new = [episode(3), *A]
    told = polled(store, A, with_new, A, with_new, A, with_new, with_new, with_new)
    assert told[1:3] == [["episode.created"], ["episode.removed"]]
    assert told[3:] == [[], [], [], [], ["episode.updated"]]  # it is there again
    assert set(fields(store.changes[-1])) == {"removed_us"}


_seen = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 200)), min_size=1, max_size=60)


@settings(max_examples=200, deadline=None)
@given(_seen)
def test_the_log_is_bounded_and_knows_the_last_good_content(seen: list[tuple[int, int]]) -> None:
    state: Record = {"recent_hashes": [], "recent_us": [], "flaps": 0, "changed_us": None}
    good, now_us, since_us = 0, 0, 0
    for content, minutes in seen:
        now_us += minutes * MINUTE_US
        state, is_damped = observed(state, content, now_us)
        if not is_damped and content != good:
            good, since_us = content, now_us
            state["changed_us"] = now_us
        assert last_good(state) == good
        assert len(state["recent_hashes"]) == len(state["recent_us"]) <= 16
        assert state["recent_us"] == sorted(state["recent_us"])
        assert not is_damped or now_us - since_us < WINDOW_US


@settings(max_examples=200, deadline=None)
@given(_seen, st.integers(1, 4))
def test_whatever_happened_three_polls_in_a_row_settle(seen: list[tuple[int, int]], last: int) -> None:
    state: Record = {"recent_hashes": [], "recent_us": [], "flaps": 0, "changed_us": 0}
    now_us = 0
    for content, minutes in [*seen, (last, 1), (last, 1), (last, 1)]:
        now_us += minutes * MINUTE_US
        state, _ = observed(state, content, now_us)
    assert last_good(state) == last
