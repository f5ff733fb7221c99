"""What a poll tells: each change once, none missed, whatever was polled and however it was parsed."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.feeds.detect import Previous, detect
from ingest.feeds.diff import VOLATILE
from ingest.feeds.episodes import MOST_ENCLOSURE_URLS, episodes_needed
from ingest.feeds.identity import episode_key
from ingest.feeds.schema import EPISODE_CONTENT, PODCAST_CONTENT, Record
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
    types,
)

# The first fetch


def test_the_first_fetch_tells_that_history_begins_and_no_episode() -> None:
    store = Store()
    detected = store.poll([episode(2), episode(1)])
    (added,) = detected.changes
    assert (added["change"], added["sequence"], added["is_minor"]) == ("podcast.added", 1, True)
    assert json.loads(added["record"])["title"] == "A show"
    assert {row["guid"] for row in detected.episodes} == {"guid-number-1", "guid-number-2"}
    assert store.podcast is not None
    assert (store.podcast["episode_count"], store.podcast["changed_us"]) == (2, store.now_us)
    assert store.podcast["newest_us"] == NOW_US - 198 * DAY_US
    assert store.podcast["oldest_us"] == NOW_US - 199 * DAY_US


def test_an_empty_feed_is_a_podcast_without_episodes() -> None:
    store = Store()
    assert types(store.poll([])) == ["podcast.added"]
    assert types(store.poll([episode(1)])) == ["episode.created"]


# The podcast


def test_a_changed_title_of_the_podcast_is_told_with_its_record() -> None:
    store = Store()
    store.poll([episode(1)])
    (change,) = store.poll([episode(1)], title="Another show").changes
    assert change["change"] == "podcast.updated"
    assert fields(change) == {"title": ("A show", "Another show")}
    assert json.loads(change["record"])["title"] == "Another show"
    assert change["sequence"] == 2


def test_a_volatile_change_updates_the_record_and_tells_nothing() -> None:
    store = Store()
    store.poll([episode(1)], last_build_us=1)
    first_us = store.now_us
    detected = store.poll([episode(1)], last_build_us=2)
    assert detected.changes == []
    assert detected.podcast is not None
    assert (detected.podcast["last_build_us"], detected.podcast["changed_us"]) == (2, first_us)
    assert detected.state["changed_us"] == first_us


def test_a_minor_change_is_recorded_as_minor() -> None:
    store = Store()
    store.poll([episode(1)], generator="Host 1.0")
    (change,) = store.poll([episode(1)], generator="Host 1.1").changes
    assert change["is_minor"]
    assert store.podcast is not None
    assert store.podcast["changed_us"] == store.now_us


def test_a_derived_guid_stays_the_one_derived_first() -> None:
    store = Store()
    store.poll([episode(1)], podcast_guid="of-the-old-url")
    assert store.poll([episode(1)], podcast_guid="of-the-new-url").changes == []
    declared = store.poll([episode(1)], podcast_guid="declared-one", guid_source="declared")
    assert types(declared) == ["podcast.updated"]


def _live(status: str, **more: Any) -> str:
    return json.dumps({"liveItem": [{"status": status, "guid": [{"text": "live-1"}], **more}]})


def test_a_live_item_that_becomes_live_is_told_once() -> None:
    store = Store()
    store.poll([], podcast_tags=_live("pending"))
    detected = store.poll([], podcast_tags=_live("live"))
    assert types(detected) == ["podcast.updated", "podcast.live"]
    assert fields(detected.changes[1]) == {"live_item": ("pending", "live")}
    assert detected.changes[1]["guid"] == "live-1"
    assert types(store.poll([], podcast_tags=_live("live", start="x"))) == ["podcast.updated"]
    assert types(store.poll([], podcast_tags=_live("ended"))) == ["podcast.updated"]


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"guid": "an attribute"},
        {"title": [{}]},
        {"guid": [{}], "status": [{"text": "live"}]},
        {"status": 5},
    ],
)
def test_a_live_item_of_any_shape_is_read(item: dict[str, Any]) -> None:
    Store().poll([], podcast_tags=json.dumps({"liveItem": [item, item]}))


def test_the_rule_of_publication_is_kept_for_the_schedule() -> None:
    frequency = {"rrule": "FREQ=WEEKLY;BYDAY=MO", "dtstart": "2024-01-01T06:00:00Z", "text": "Mondays"}
    store = Store()
    store.poll(
        [], podcast_tags=json.dumps({"updateFrequency": [frequency]}), ttl_min=60, skip_days=["Sunday"]
    )
    assert store.state["update_rule"] == "DTSTART:20240101T060000Z\nRRULE:FREQ=WEEKLY;BYDAY=MO"
    assert (store.state["ttl_min"], store.state["skip_days"]) == (60, ["Sunday"])
    store.poll(
        [], podcast_tags=json.dumps({"updateFrequency": [{"rrule": [{"text": "x"}], "complete": "true"}]})
    )
    assert store.state["update_rule"] is None
    assert store.state["is_complete"]


# Episodes


def test_a_new_episode_is_created_with_all_it_says() -> None:
    store = Store()
    store.poll([episode(1)])
    (change,) = store.poll([episode(2), episode(1)]).changes
    assert (change["change"], change["is_minor"]) == ("episode.created", False)
    assert change["episode_key"] == episode_key(PODCAST_KEY, "guid-number-2")
    assert fields(change)["title"] == (None, "Episode 2")


def test_an_edited_episode_is_updated_with_the_fields_that_differ() -> None:
    store = Store()
    store.poll([episode(2), episode(1)])
    detected = store.poll([episode(2), episode(1, title="Corrected")])
    assert [fields(change) for change in detected.changes] == [{"title": ("Episode 1", "Corrected")}]
    (row,) = detected.episodes
    assert (row["first_seen_us"], row["changed_us"]) == (NOW_US + HOUR_US, NOW_US + 2 * HOUR_US)


def test_changes_of_one_poll_are_told_oldest_episode_first() -> None:
    store = Store()
    store.poll([episode(1)])
    detected = store.poll([episode(4), episode(3), episode(2), episode(1, title="x")], title="y")
    assert types(detected) == ["podcast.updated", "episode.updated", *["episode.created"] * 3]
    assert [change["guid"] for change in detected.changes[1:]] == [f"guid-number-{n}" for n in (1, 2, 3, 4)]
    assert [change["sequence"] for change in detected.changes] == [2, 3, 4, 5, 6]


def test_a_token_in_the_enclosure_is_minor_and_all_canonical_urls_are_kept() -> None:
    store = Store()
    store.poll([episode(1, enclosure_url="https://m.fm/1.mp3?token=1")])
    (change,) = store.poll([episode(1, enclosure_url="https://m.fm/1.mp3?token=2")]).changes
    assert change["is_minor"]
    alternates = json.dumps([{"urls": ["https://cdn.fm/1.opus?x", "ipfs://1"]}])
    store.poll([episode(1, enclosure_url="https://new.fm/1.mp3", alternate_enclosures=alternates)])
    (row,) = store.episodes.values()
    assert row["enclosure_urls"] == ["https://cdn.fm/1.opus", "https://m.fm/1.mp3", "https://new.fm/1.mp3"]
    assert row["enclosure_canonical"] == "https://new.fm/1.mp3"


def test_enclosure_urls_do_not_grow_without_end() -> None:
    store = Store()
    for number in range(MOST_ENCLOSURE_URLS + 20):
        store.poll([episode(1, enclosure_url=f"https://m.fm/{number}/1.mp3")])
    (row,) = store.episodes.values()
    assert len(row["enclosure_urls"]) == MOST_ENCLOSURE_URLS
    assert row["enclosure_canonical"] in row["enclosure_urls"]


def test_an_enclosure_without_canonical_form_is_compared_as_written() -> None:
    store = Store()
    store.poll([episode(1, enclosure_url="nonsense 1")])
    (change,) = store.poll([episode(1, enclosure_url="nonsense 2")]).changes
    assert not change["is_minor"]


# Guids


def test_a_changed_guid_of_the_same_audio_and_title_is_an_update_of_the_episode() -> None:
    store = Store()
    store.poll([episode(2), episode(1)])
    detected = store.poll([episode(2), episode(1, guid="moved-to-another-guid")])
    (change,) = detected.changes
    assert change["change"] == "episode.updated"
    assert fields(change) == {"guid": ("guid-number-1", "moved-to-another-guid")}
    assert change["episode_key"] == episode_key(PODCAST_KEY, "guid-number-1")  # history goes on
    # … and on: the next edit finds it under its new guid
    (edit,) = store.poll([episode(2), episode(1, guid="moved-to-another-guid", title="x")]).changes
    assert edit["episode_key"] == change["episode_key"]
    assert fields(edit) == {"title": ("Episode 1", "x")}


def test_a_changed_guid_and_title_is_another_episode() -> None:
    store = Store()
    store.poll([episode(3), episode(2), episode(1)])
    detected = store.poll([episode(3), episode(2, guid="another-guid", title="Another"), episode(1)])
    assert sorted(types(detected)) == ["episode.created", "episode.removed"]


def test_a_second_guid_while_the_first_is_still_there_is_another_episode() -> None:
    store = Store()
    store.poll([episode(1)])
    assert types(store.poll([episode(1, guid="another-guid"), episode(1)])) == ["episode.created"]


def test_a_guid_that_changes_back_is_the_same_episode_again() -> None:
    store = Store()
    store.poll([episode(2), episode(1)])
    store.poll([episode(2), episode(1, guid="moved-to-another-guid")])
    (change,) = store.poll([episode(2), episode(1)]).changes
    assert fields(change) == {"guid": ("moved-to-another-guid", "guid-number-1")}
    assert len(store.episodes) == 2


def test_the_old_guid_given_to_another_episode_is_a_new_one() -> None:
    store = Store()
    store.poll([episode(1)])
    moved = episode(1, guid="moved-to-another-guid")
    store.poll([moved])
    other = episode(5, guid="guid-number-1")
    assert types(store.poll([other, moved])) == ["episode.created"]
    assert len(store.episodes) == 2
    (edit,) = store.poll([{**other, "title": "x"}, moved]).changes
    assert fields(edit) == {"title": ("Episode 5", "x")}


def test_a_guid_changed_for_many_episodes_at_once_updates_each() -> None:
    store = Store()
    store.poll([episode(n) for n in range(50, 0, -1)])
    detected = store.poll([episode(n, guid=f"https://new.example/{n}") for n in range(50, 0, -1)])
    assert types(detected) == ["episode.updated"] * 50


def test_a_guid_reused_by_a_new_episode_leaves_the_old_one_its_history() -> None:
    store = Store()
    store.poll([episode(1)])
    detected = store.poll([episode(2, guid="guid-number-1"), episode(1)])
    (change,) = detected.changes
    assert change["change"] == "episode.created"
    assert change["guid"] == "https://media.example.fm/2.mp3"


def test_an_item_listed_twice_is_one_episode() -> None:
    store = Store()
    twice = [episode(2), episode(2, description="again"), episode(1)]
    store.poll(twice)
    assert store.podcast is not None
    assert store.podcast["episode_count"] == 2
    assert store.poll(twice).changes == []


def test_a_repeat_of_an_episode_whose_guid_changed_stays_no_episode_of_its_own() -> None:
    store = Store()
    store.poll([episode(1)])
    moved = episode(1, guid="moved-to-another-guid")
    repeat = moved | {"published_raw": "another day"}
    assert types(store.poll([moved, repeat])) == ["episode.updated"]
    assert store.poll([moved, repeat]).changes == []
    assert store.poll([moved, repeat], is_delta=False).changes == []


def test_an_episode_without_guid_whose_enclosure_moves_is_the_same_by_title_and_date() -> None:
    store = Store()
    nameless = {"guid": None, "guid_source": None}
    store.poll([episode(2), episode(1, **nameless)])
    (change,) = store.poll([episode(2), episode(1, enclosure_url="https://new.fm/1.mp3", **nameless)]).changes
    assert change["change"] == "episode.updated"
    assert fields(change)["guid"] == ("https://media.example.fm/1.mp3", "https://new.fm/1.mp3")


# Counts and the schedule's history


def test_the_dates_kept_for_the_schedule_are_the_newest_twenty_oldest_first() -> None:
    store = Store()
    store.poll([episode(n) for n in range(30, 0, -1)])
    assert store.state["publications_us"] == [NOW_US + (n - 200) * DAY_US for n in range(11, 31)]
    store.poll([episode(n) for n in range(31, 29, -1)])  # a short window keeps what was known
    assert store.state["publications_us"] == [NOW_US + (n - 200) * DAY_US for n in range(12, 32)]


def test_dates_of_removed_and_redated_episodes_leave_the_history() -> None:
    store = Store()
    store.poll([episode(3), episode(2), episode(1)])
    store.poll([episode(3, published_us=NOW_US), episode(1)])
    assert store.state["publications_us"] == [NOW_US - 199 * DAY_US, NOW_US]


def test_audits_are_counted() -> None:
    store = Store()
    store.poll([episode(1)])
    store.poll([episode(1)])
    assert (store.state["deltas"], store.state["audits"], store.state["mismatches"]) == (1, 0, 0)


# Invariants


_numbers = st.integers(1, 6)
_edits = st.fixed_dictionaries(
    {},
    optional={
        "title": st.sampled_from(["Episode x", "Episode y", None]),
        "guid": st.sampled_from(["guid-number-1", "guid-number-2", "another-guid", None]),
        "enclosure_url": st.sampled_from(["https://m.fm/a.mp3?t=1", "https://m.fm/a.mp3?t=2", "odd", None]),
        "published_us": st.sampled_from(
            [None, NOW_US + 9 * DAY_US, NOW_US - 300 * DAY_US, NOW_US - 3 * DAY_US]
        ),
        "description_html": st.sampled_from(["<p>a</p>", "a"]),
        "keywords": st.sampled_from([[], ["a"]]),
        "link": st.sampled_from([None, "https://a.example/"]),
    },
)


@st.composite
def _feeds(draw: st.DrawFn) -> tuple[list[Record], Record]:
    numbers = draw(st.lists(_numbers, max_size=7))
    items = [episode(number, **draw(_edits)) for number in sorted(numbers, reverse=True)]
    said = draw(
        st.fixed_dictionaries(
            {"title": st.sampled_from(["A", "B"]), "last_build_us": st.integers(1, 3)},
            optional={"generator": st.sampled_from(["1", "2"]), "keywords": st.just(["k"])},
        )
    )
    return items, said


_histories = st.lists(st.tuples(_feeds(), st.sampled_from([1, 40])), min_size=1, max_size=8)


def _told(store: Store) -> tuple[Any, ...]:
    state = {name: value for name, value in store.state.items() if name != "deltas"}
    return state, store.podcast, store.items, store.episodes, store.changes


@settings(max_examples=150, deadline=None)
@given(_histories)
def test_a_delta_tells_what_the_whole_document_tells(history: list[Any]) -> None:
    by_delta, by_whole = Store(), Store()
    for (items, said), hours in history:
        by_delta.poll(items, after_us=hours * HOUR_US, **said)
        by_whole.poll(items, after_us=hours * HOUR_US, is_delta=False, **said)
        assert _told(by_delta) == _told(by_whole)


@settings(max_examples=100, deadline=None)
@given(_histories)
def test_the_records_that_are_asked_for_are_enough(history: list[Any]) -> None:
    store = Store()
    for (items, said), hours in history:
        parsed = feed(items, store.items, **said)
        urls = canonical(parsed)
        needed = episodes_needed(PODCAST_KEY, store.items, parsed, urls)
        few = {key: row for key, row in store.episodes.items() if key in needed}
        now_us = store.now_us + hours * HOUR_US
        by_few = detect(
            Previous(store.state, store.podcast, store.items, few), parsed, FEED_URL, now_us, urls
        )
        by_all = store.poll(items, after_us=hours * HOUR_US, **said)
        assert str(by_few.damped) == str(by_all.damped)  # an exception equals itself alone
        assert replace(by_few, damped=None) == replace(by_all, damped=None)


@settings(max_examples=100, deadline=None)
@given(_histories, st.booleans())
def test_the_same_feed_again_changes_nothing(history: list[Any], is_delta: bool) -> None:
    store = Store()
    for (items, said), hours in history:
        first = store.poll(items, after_us=hours * HOUR_US, is_delta=is_delta, **said)
        again = store.poll(items, after_us=1, is_delta=is_delta, **said)
        assert again.changes == []
        if first.damped is None:
            assert (again.podcast, again.items, again.episodes) == (None, None, [])


@settings(max_examples=150, deadline=None)
@given(_histories, st.data())
def test_replaying_the_changes_of_any_polls_gives_the_last_record(
    history: list[Any], data: st.DataObject
) -> None:
    store = Store()
    for (items, said), hours in history:
        if store.podcast is None or data.draw(st.booleans()):
            store.poll(items, after_us=hours * HOUR_US, **said)
    assert [change["sequence"] for change in store.changes] == list(range(1, len(store.changes) + 1))
    shown, episodes = store.replayed()
    assert store.podcast is not None
    for name in set(PODCAST_CONTENT) - set(VOLATILE):
        assert (shown.get(name) or None) == (store.podcast[name] or None), name
    assert episodes.keys() == store.episodes.keys()
    for key, row in store.episodes.items():
        for name in [*EPISODE_CONTENT, "removed_us"]:
            assert (episodes[key].get(name) or None) == (row[name] or None), name


@settings(max_examples=100, deadline=None)
@given(_histories, _feeds())
def test_a_feed_that_settles_is_recorded_as_it_is(
    history: list[Any], last: tuple[list[Record], Record]
) -> None:
    store = Store()
    for (items, said), _ in history:
        store.poll(items, **said)
    items, said = last
    for _ in range(3):
        detected = store.poll(items, after_us=1, **said)
    assert detected.damped is None
    fresh = Store(now_us=store.now_us)
    fresh.poll(items, after_us=0, **said)
    assert store.podcast is not None and fresh.podcast is not None
    for name in PODCAST_CONTENT:
        assert store.podcast[name] == fresh.podcast[name]
    # as many episodes as a newcomer sees; a guid that was reused may have been given to the other one
    assert abs(store.podcast["episode_count"] - fresh.podcast["episode_count"]) <= _repeated(items)


def _repeated(items: list[Record]) -> int:
    guids = [item["guid"] for item in items]
    return len(guids) - len(set(guids)) + guids.count(None)


@settings(max_examples=50, deadline=None)
@given(_histories)
def test_nothing_that_was_handed_in_is_changed(history: list[Any]) -> None:
    store = Store()
    for (items, said), hours in history:
        parsed = feed(items, store.items, **said)
        previous, before = store.previous(), copy.deepcopy(parsed)
        kept = copy.deepcopy(previous)
        detect(previous, parsed, FEED_URL, store.now_us + HOUR_US, canonical(parsed))
        assert (previous, parsed) == (kept, before)
        store.poll(items, after_us=hours * HOUR_US, **said)
