"""A feed shows a window of its episodes: what leaves it was taken out or slid out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ingest.feeds.windows import ordering_us, taken_out
from ingest.schema import DAY_US
from tests.ingest.feeds.made import NOW_US, Store, episode, fields, types


def test_an_episode_that_vanishes_between_others_is_removed() -> None:
    assert taken_out({2: 20}, {1: 10, 3: 30}, [3, 2, 1]) == {2}


def test_the_newest_episode_that_vanishes_is_removed() -> None:
    assert taken_out({3: 30}, {1: 10, 2: 20}, [3, 2, 1]) == {3}


def test_the_oldest_that_vanishes_has_slid_out() -> None:
    assert taken_out({1: 10}, {2: 20, 3: 30}, [3, 2, 1]) == set()


def test_one_as_old_as_the_oldest_has_slid_out() -> None:
    assert taken_out({1: 10}, {2: 10, 3: 30}, [3, 2, 1]) == set()


def test_an_emptied_feed_removes_nothing() -> None:
    assert taken_out({1: 10, 2: 20}, {}, [2, 1]) == set()


def test_an_undated_episode_is_removed_only_from_between_others() -> None:
    assert taken_out({2: None}, {1: 10, 3: 30}, [3, 2, 1]) == {2}
    assert taken_out({1: None}, {2: 20, 3: 30}, [3, 2, 1]) == set()
    assert taken_out({3: None}, {1: 10, 2: 20}, [3, 2, 1]) == set()


def test_without_any_date_the_place_in_the_feed_decides() -> None:
    assert taken_out({2: 20}, {1: None, 3: None}, [3, 2, 1]) == {2}


def test_a_future_date_is_ordered_by_when_it_was_first_seen() -> None:
    assert ordering_us(NOW_US + DAY_US, NOW_US) == NOW_US
    assert ordering_us(NOW_US - DAY_US, NOW_US) == NOW_US - DAY_US
    assert ordering_us(None, NOW_US) is None


@given(st.lists(st.integers(0, 50), unique=True, min_size=2), st.data())
def test_a_window_that_slides_removes_nothing(dates: list[int], data: st.DataObject) -> None:
    ordered = sorted(dates, reverse=True)
    kept = data.draw(st.integers(1, len(ordered) - 1))
    present = dict.fromkeys(ordered[:kept], 0) | {date: date for date in ordered[:kept]}
    assert taken_out({date: date for date in ordered[kept:]}, present, ordered) == set()


# Through whole polls


def test_a_new_episode_pushes_the_oldest_out_and_only_the_new_one_is_told() -> None:
    store = Store()
    store.poll([episode(n) for n in (3, 2, 1)])
    detected = store.poll([episode(n) for n in (4, 3, 2)])
    assert types(detected) == ["episode.created"]
    gone = next(row for row in detected.episodes if row["guid"] == "guid-number-1")
    assert (gone["last_seen_us"], gone["removed_us"]) == (store.now_us, None)


def test_a_removed_episode_is_told_with_the_time() -> None:
    store = Store()
    store.poll([episode(n) for n in (3, 2, 1)])
    detected = store.poll([episode(n) for n in (3, 1)])
    assert types(detected) == ["episode.removed"]
    assert fields(detected.changes[0]) == {"removed_us": (None, store.now_us)}
    assert detected.changes[0]["guid"] == "guid-number-2"


def test_a_removed_episode_that_comes_back_is_updated() -> None:
    store = Store()
    store.poll([episode(n) for n in (3, 2, 1)])
    store.poll([episode(n) for n in (3, 1)])
    removed_us = store.now_us
    detected = store.poll([episode(n) for n in (3, 2, 1)])
    assert types(detected) == ["episode.updated"]
    assert fields(detected.changes[0]) == {"removed_us": (removed_us, None)}


def test_one_that_slid_out_and_comes_back_as_it_was_is_not_told() -> None:
    store = Store()
    store.poll([episode(n) for n in (3, 2, 1)])
    store.poll([episode(n) for n in (3, 2)])
    detected = store.poll([episode(n) for n in (3, 2, 1)])
    assert detected.changes == []
    assert [row["last_seen_us"] for row in detected.episodes] == [None]


def test_one_that_slid_out_and_comes_back_edited_is_updated() -> None:
    store = Store()
    store.poll([episode(n) for n in (3, 2, 1)])
    store.poll([episode(n) for n in (3, 2)])
    detected = store.poll([episode(3), episode(2), episode(1, title="New title")])
    assert [fields(change) for change in detected.changes] == [{"title": ("Episode 1", "New title")}]


def test_a_future_dated_episode_is_created_and_does_not_move_the_window() -> None:
    store = Store()
    store.poll([episode(2), episode(1)])
    future = episode(9, published_us=NOW_US + 30 * DAY_US)
    assert types(store.poll([future, episode(2), episode(1)])) == ["episode.created"]
    assert store.podcast is not None
    assert store.podcast["newest_us"] == store.now_us  # clamped
    assert store.podcast["episode_count"] == 3
    # taken out again before its date: it was inside the window
    assert types(store.poll([episode(2), episode(1)])) == ["episode.removed"]
