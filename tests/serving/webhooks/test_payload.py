"""Bodies: merged, filtered, valid, and never above 20 kB."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.feeds.schema import ChangeType
from serving.webhooks.payload import MAX_BYTES, MESSAGE, Event, body, changed, notice_body

PODCAST = {"guid": "g", "feed_url": "https://feeds.example.com/a", "title": "A"}
EPISODE = {
    "key": "-5",
    "guid": "e",
    "title": "E",
    "enclosure_url": "https://media.example.com/a.mp3",
    "published": "2026-11-29T15:00:00.000000Z",
}
AT_US = 1_796_000_000_000_001


def event(
    *changes: tuple[str, object, object],
    sequence: int = 1,
    change: ChangeType = ChangeType.EPISODE_UPDATED,
    at_us: int = AT_US,
) -> Event:
    data = {
        "podcast": PODCAST,
        "episode": EPISODE if change.startswith("episode.") else None,
        "changes": [{"field": field, "old": old, "new": new} for field, old, new in changes],
        "is_minor": False,
        "minor_fields": [],
    }
    return Event(2**62, sequence, change, at_us, data)


def said(*events: Event, fields: tuple[str, ...] = ()) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(body(events, fields, is_batch=False))
    return found


def test_a_change_as_it_is_told() -> None:
    assert said(event(("title", "a", "b"), ("season", None, 3), sequence=12)) == {
        "type": "episode.updated",
        "timestamp": "2026-11-30T00:53:20.000001Z",
        "data": {
            "podcast": {"key": "4611686018427387904", **PODCAST},
            "episode": EPISODE,
            "sequence": 12,
            "coalesced": [],
            "changes": [
                {"field": "season", "old": None, "new": 3},
                {"field": "title", "old": "a", "new": "b"},
            ],
            "is_shortened": False,
        },
    }


def test_a_change_of_the_podcast_has_no_episode() -> None:
    assert said(event(("title", "a", "b"), change=ChangeType.PODCAST_UPDATED))["data"]["episode"] is None


def test_coalesced_changes_are_told_as_one_with_the_last_sequence() -> None:
    found = said(
        event(("title", "a", "b"), ("link", "x", "y"), sequence=3, at_us=AT_US - 9),
        event(("title", "b", "c"), ("link", "y", "x"), sequence=5, at_us=AT_US - 3),
        event(("subtitle", None, "s"), sequence=6),
    )
    assert (found["data"]["sequence"], found["data"]["coalesced"]) == (6, [3, 5])
    assert found["timestamp"] == "2026-11-30T00:53:20.000001Z"
    assert found["data"]["changes"] == [
        {"field": "subtitle", "old": None, "new": "s"},
        {"field": "title", "old": "a", "new": "c"},
    ]


def test_what_was_created_and_then_updated_is_created() -> None:
    created = event(("title", None, "a"), change=ChangeType.EPISODE_CREATED)
    found = said(created, event(("title", "a", "b"), sequence=2), fields=("duration_s",))
    assert found["type"] == "episode.created"
    # Fields filter updates only.
    assert found["data"]["changes"] == [{"field": "title", "old": None, "new": "b"}]


def test_of_an_update_only_the_fields_asked_for_are_told() -> None:
    found = said(event(("title", "a", "b"), ("link", "x", "y")), fields=("title", "season"))
    assert [change["field"] for change in found["data"]["changes"]] == ["title"]


def test_a_value_that_was_cut_before_says_so() -> None:
    cut = event(("description", "aaa… (9 bytes, xxh3 1)", "aaa… (9 bytes, xxh3 2)"), ("title", "a", "b"))
    cut.data["changes"][0]["is_shortened"] = True
    found = said(cut)["data"]
    assert [change.get("is_shortened") for change in found["changes"]] == [True, None]
    assert found["is_shortened"] is True


def test_a_batch_holds_each_change_as_it_would_be_sent_alone() -> None:
    events = [
        event(("title", "a", "b"), ("link", "x", "y"), sequence=1),
        event(("title", None, "b"), sequence=2, change=ChangeType.EPISODE_CREATED, at_us=AT_US + 5),
    ]
    batch = json.loads(body(events, ("title",), is_batch=True))
    assert (batch["type"], batch["timestamp"]) == ("changes.batch", "2026-11-30T00:53:20.000001Z")
    assert batch["data"] == {"count": 2, "events": [said(one, fields=("title",)) for one in events]}


def test_what_is_too_large_is_cut_where_it_is_long_and_says_so() -> None:
    found = said(event(("content_html", "o" * 50_000, "n" * 50_000), ("title", "a", "b")))["data"]
    content, title = found["changes"]
    assert found["is_shortened"] is True
    assert content["is_shortened"] is True
    assert content["new"].startswith("n" * 3000)
    assert content["new"].endswith("n…")
    assert title == {"field": "title", "old": "a", "new": "b"}
    assert "link" not in found


def test_a_shortened_message_tells_where_the_whole_is() -> None:
    link = "https://earshot.example/x"
    large, small = event(("description", None, "x" * 30_000)), event(("title", "a", "b"))
    assert json.loads(body([large], (), is_batch=False, link=link))["data"]["link"] == link
    assert "link" not in json.loads(body([small], (), is_batch=False, link=link))["data"]


def test_a_url_is_whole_or_not_there() -> None:
    data = {"podcast": PODCAST | {"feed_url": "https://a/" + "x" * 30_000}, "episode": None, "changes": []}
    found = said(Event(1, 1, ChangeType.PODCAST_MOVED, AT_US, data))["data"]
    assert found["podcast"]["feed_url"] is None
    assert found["is_shortened"] is True


def test_in_a_batch_the_large_ones_are_cut_and_the_small_ones_are_whole() -> None:
    small = [event(("title", "a", "b"), sequence=number) for number in range(20)]
    batch = body([event(("description", None, "x" * 50_000)), *small], (), is_batch=True)
    assert len(batch) <= MAX_BYTES
    events = json.loads(batch)["data"]["events"]
    assert [one["data"]["is_shortened"] for one in events] == [True] + [False] * 20
    assert events[1:] == [said(one) for one in small]


def test_a_batch_never_loses_a_change_in_silence() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        body([event(("title", "a", "b"))] * 1000, (), is_batch=True)
    with pytest.raises(ValueError, match="one change at least"):
        body([], (), is_batch=True)


def test_a_notice_has_the_data_of_its_type_and_no_other() -> None:
    found = json.loads(notice_body("webhook.challenge", {"challenge": "x"}, AT_US))
    assert found == {
        "type": "webhook.challenge",
        "timestamp": "2026-11-30T00:53:20.000001Z",
        "data": {"challenge": "x"},
    }
    for type, data in (
        ("webhook.challenge", {}),
        ("webhook.challenge", {"challenge": "x", "more": 1}),
        ("episode.created", {"challenge": "x"}),
        ("nonsense", {}),
    ):
        with pytest.raises(ValueError):
            notice_body(type, data, AT_US)


# Any character but lone surrogates, long runs of them too: what a feed may hold.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
LONG = st.tuples(
    st.sampled_from(["x", "ä", "漢", "😀", "\x00", '"', "\\", "\u2028", "e\u0301"]), st.integers(0, 30_000)
).map(lambda run: run[0] * run[1])
ANY_TEXT = TEXTS | LONG
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=10,
)


@st.composite
def events_of_one_record(draw: st.DrawFn) -> list[Event]:
    is_episode = draw(st.booleans())
    change = draw(st.sampled_from([one for one in ChangeType if one.startswith("episode.") == is_episode]))
    if change is ChangeType.PODCAST_ADDED:
        change = ChangeType.PODCAST_UPDATED
    optional = st.none() | ANY_TEXT
    podcast = {name: draw(optional) for name in ("guid", "feed_url", "title")}
    episode = {"key": "-1", "published": None} | {
        name: draw(optional) for name in ("guid", "title", "enclosure_url")
    }
    told = []
    for sequence in range(1, draw(st.integers(1, 4)) + 1):
        fields = draw(st.lists(TEXTS, unique=True, max_size=6))
        changes = [{"field": field, "old": draw(VALUES), "new": draw(VALUES)} for field in fields]
        data: Mapping[str, Any] = {
            "podcast": podcast,
            "episode": episode if is_episode else None,
            "changes": changes,
        }
        told.append(Event(draw(st.integers(-(2**63), 2**63 - 1)), sequence, change, AT_US + sequence, data))
    return told


@given(events_of_one_record())
def test_a_message_is_valid_and_small_whatever_the_fields_hold(events: list[Event]) -> None:
    raw = body(events, (), is_batch=False)
    assert len(raw) <= MAX_BYTES
    found = json.loads(raw)
    assert MESSAGE.validate_json(raw).model_dump(exclude_unset=True) == found
    # Who and when is never lost.
    assert found["data"]["podcast"]["key"] == str(events[-1].podcast_key)
    assert found["data"]["sequence"] == len(events)
    if not found["data"]["is_shortened"]:
        assert found["data"]["changes"] == json.loads(orjson.dumps(changed(events, ())))


@settings(max_examples=30)
@given(st.lists(events_of_one_record(), min_size=1, max_size=8))
def test_a_batch_is_valid_and_small_whatever_the_fields_hold(records: list[list[Event]]) -> None:
    events = [one for record in records for one in record][:8]
    raw = body(events, (), is_batch=True)
    assert len(raw) <= MAX_BYTES
    found = json.loads(raw)
    assert MESSAGE.validate_json(raw).model_dump(exclude_unset=True) == found
    assert found["data"]["count"] == len(found["data"]["events"]) == len(events)


@settings(max_examples=30)
@given(st.lists(events_of_one_record(), min_size=1, max_size=10))
def test_changes_that_fit_into_a_batch_are_whole_in_it(records: list[list[Event]]) -> None:
    batch: list[Event] = []
    room = MAX_BYTES - 200  # the envelope
    for one in (one for record in records for one in record):
        alone = body([one], (), is_batch=False)
        room -= len(alone) + 1
        if room < 0 or json.loads(alone)["data"]["is_shortened"]:
            break
        batch.append(one)
    if batch:
        found = json.loads(body(batch, (), is_batch=True))
        assert not any(told["data"]["is_shortened"] for told in found["data"]["events"])


STEPS = st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 3)), min_size=1, max_size=6)


@given(STEPS, st.sets(st.sampled_from("abc")))
def test_merging_tells_what_replaying_all_changes_would(
    steps: list[dict[str, int]], fields: set[str]
) -> None:
    record = dict.fromkeys("abc", 0)
    start, events = dict(record), []
    for sequence, step in enumerate(steps, start=1):
        made = [(name, record[name], new) for name, new in sorted(step.items()) if record[name] != new]
        record |= step
        events.append(event(*made, sequence=sequence))
    assert changed(events, fields) == [
        {"field": name, "old": start[name], "new": record[name]}
        for name in "abc"
        if start[name] != record[name] and (not fields or name in fields)
    ]
