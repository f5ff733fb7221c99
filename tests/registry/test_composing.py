"""Which change is told to whom, and in which message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.feeds.schema import ChangeType
from registry.composing import MAX_BATCH_BYTES, Audience, Composer, Event, Listener, Message
from registry.subscribing import wish
from registry.subscriptions import Subscription
from registry.tables import DeliveryState, SubscriptionState

UPDATED, PODCAST_UPDATED = ChangeType.EPISODE_UPDATED, ChangeType.PODCAST_UPDATED
CREATED, REMOVED, MOVED = ChangeType.EPISODE_CREATED, ChangeType.EPISODE_REMOVED, ChangeType.PODCAST_MOVED
NOW_US = 1_790_000_000_000_000  # 2026-09-21T14:13:20Z
NEXT_HOUR_US = NOW_US + 2_800_000_000
HOURLY = {"mode": "scheduled", "cron": "0 * * * *"}
PODCAST, EPISODE, OTHER = 7, "1", "2"

outbox_ids = count(1)


def subscription(
    number: int = 1, state: SubscriptionState = SubscriptionState.ACTIVE, **said: Any
) -> Subscription:
    made = wish("https://hooks.example.com/", now_us=NOW_US, **said)
    never = dict.fromkeys(("failing_since_us", "failed_us", "succeeded_us"))
    health = {"failures": 0, "paused_until_us": 0, **never}
    times = {"state": state, "reason": None, "state_us": NOW_US, "created_us": NOW_US}
    secrets = {"previous_secret": None, "secret_until_us": None}
    return Subscription(subscription_id=number, **vars(made), **secrets, **times, **health)


def event(
    change: ChangeType = UPDATED,
    fields: Mapping[str, tuple[Any, Any]] = {"title": ("a", "b")},
    episode: str | None = EPISODE,
    podcast: int = PODCAST,
    minor: Sequence[str] = (),
) -> Event:
    number = next(outbox_ids)
    record = {"key": episode, "guid": "g", "title": "t", "enclosure_url": None, "published": None}
    changes = [{"field": name, "old": old, "new": new} for name, (old, new) in fields.items()]
    data: Any = {
        "podcast": {"guid": "p", "feed_url": "https://pod.example.com/", "title": "T"},
        "episode": None if change.startswith("podcast.") else record,
        "changes": changes,
        "is_minor": set(minor) >= set(fields),
        "minor_fields": list(minor),
    }
    return Event(number, podcast, number, NOW_US, change, data)


def composed(who: Subscription, events: Sequence[Event], waiting: Sequence[Message] = ()) -> Composer:
    composer = Composer(NOW_US, waiting)
    for one in events:
        composer.add(Listener(who), one)
    return composer


def told(messages: Sequence[Message]) -> list[int]:
    return [number for message in messages for number in message.outbox_ids]


# --- who is told

LABELS = {"default": ["customer", "lead"], "acme": ["lead"]}


@pytest.mark.parametrize(
    ("said", "is_told"),
    [
        ({}, True),
        ({"tenant": "acme"}, True),
        ({"tenant": "nobody"}, False),
        ({"podcasts": [PODCAST, 8]}, True),
        ({"podcasts": [8]}, False),
        ({"labels": ["customer"]}, True),
        ({"labels": ["customer", "other"]}, True),
        ({"labels": ["other"]}, False),
        ({"labels": ["customer"], "tenant": "acme"}, False),  # it is the other tenant's
        ({"types": [UPDATED]}, True),
        ({"types": [CREATED, PODCAST_UPDATED]}, False),
    ],
)
def test_a_subscription_is_told_of_the_podcasts_of_its_tenant_and_types_it_names(
    said: dict[str, Any], is_told: bool
) -> None:
    audience = Audience([subscription(**said)], {PODCAST: LABELS})
    assert [one.id for one in audience.of(PODCAST, UPDATED)] == [1] * is_told
    assert audience.of(8, UPDATED) == []  # nobody tracks it


@pytest.mark.parametrize(
    ("fields", "change", "is_minor", "changed", "is_told"),
    [
        ((), UPDATED, False, ["title"], True),
        ((), UPDATED, True, ["enclosure_url"], False),
        (("title",), UPDATED, False, ["title", "link"], True),
        (("title",), UPDATED, False, ["link"], False),
        (("title",), PODCAST_UPDATED, False, ["link"], False),
        (("title",), CREATED, False, ["link"], True),  # fields are of updates
        (("title",), MOVED, False, ["feed_url"], True),
        (("enclosure_url",), UPDATED, True, ["enclosure_url", "duration_raw"], True),
        (("title",), UPDATED, True, ["enclosure_url"], False),
    ],
)
def test_minor_changes_are_told_to_those_who_name_one_of_their_fields(
    fields: tuple[str, ...], change: ChangeType, is_minor: bool, changed: list[str], is_told: bool
) -> None:
    assert Listener(subscription(fields=fields)).hears(change, is_minor, changed) is is_told


# --- at once


def test_each_change_is_a_message_due_at_once_with_an_id_of_its_own_for_each_subscription() -> None:
    events = [event(), event()]
    messages = composed(subscription(1), events).new + composed(subscription(2), events).new
    again = composed(subscription(1), events).new
    assert [one.due_us for one in messages] == [NOW_US] * 4
    assert len({one.message_id for one in messages}) == 4
    assert [one.message_id for one in again] == [one.message_id for one in messages[:2]]
    assert all(one.message_id.startswith("evt_") and len(one.message_id) == 36 for one in messages)


def test_within_the_window_updates_of_one_record_are_one_message_that_is_due_as_it_was() -> None:
    who = subscription(coalesce_s=60)
    first, second, third = event(), event(), event(fields={"link": (None, "x")})
    (message,) = composed(who, [first, second, third]).new
    assert message.outbox_ids == [first.outbox_id, second.outbox_id, third.outbox_id]
    assert message.due_us == NOW_US + 60_000_000 and message.podcast_key == PODCAST
    assert message.size == sum(one.bytes_for(Listener(who)) for one in (first, second, third))


@pytest.mark.parametrize(
    ("first", "second", "is_one"),
    [
        (event(UPDATED), event(UPDATED), True),
        (event(CREATED), event(UPDATED, {"title": ("b", "c")}), True),
        (event(PODCAST_UPDATED), event(PODCAST_UPDATED), True),
        (event(UPDATED), event(UPDATED, episode=OTHER), False),
        (event(UPDATED), event(UPDATED, podcast=8), False),
        (event(UPDATED), event(CREATED), False),
        (event(UPDATED), event(REMOVED), False),
        (event(CREATED), event(CREATED), False),
        (event(MOVED), event(MOVED), False),
        (event(UPDATED), event(PODCAST_UPDATED), False),
    ],
)
def test_only_what_goes_on_with_a_record_is_merged(first: Event, second: Event, is_one: bool) -> None:
    assert len(composed(subscription(coalesce_s=60), [first, second]).new) == (1 if is_one else 2)


def test_what_comes_after_another_record_is_not_merged_so_order_stays() -> None:
    events = [event(), event(episode=OTHER), event(), event()]
    messages = composed(subscription(coalesce_s=60), events).new
    assert [len(one.outbox_ids) for one in messages] == [1, 1, 2]


@pytest.mark.parametrize(
    ("said", "steps", "is_void"),
    [
        ({}, [{"title": ("a", "b")}, {"title": ("b", "a")}], True),
        ({}, [{"title": ("a", "b")}, {"title": ("b", "c")}], False),
        ({}, [{"title": ("a", "b"), "link": (1, 2)}, {"title": ("b", "a")}], False),
        ({}, [{"title": ("a", "b"), "link": (1, 2)}, {"title": ("b", "c")}, {"title": ("c", "a")}], False),
        ({"fields": ["title"]}, [{"title": ("a", "b"), "link": (1, 2)}, {"title": ("b", "a")}], True),
        # A minor field that stays changed is no event, unless it was asked for.
        ({}, [{"title": ("a", "b"), "enclosure_url": (1, 2)}, {"title": ("b", "a")}], True),
        (
            {"fields": ["title", "enclosure_url"]},
            [{"title": ("a", "b"), "enclosure_url": (1, 2)}, {"title": ("b", "a")}],
            False,
        ),
    ],
)
def test_what_changed_back_within_the_window_is_not_told(
    said: dict[str, Any], steps: list[dict[str, tuple[Any, Any]]], is_void: bool
) -> None:
    events = [event(fields=step, minor=["enclosure_url"]) for step in steps]
    (message,) = composed(subscription(coalesce_s=60, **said), events).new
    assert (message.state is DeliveryState.VOID) is is_void
    assert (message.reason, message.ended_us) == (("changed back", NOW_US) if is_void else (None, None))
    assert message.outbox_ids == [one.outbox_id for one in events]


def test_what_changes_again_after_it_changed_back_is_a_message_of_its_own() -> None:
    steps = [("a", "b"), ("b", "a"), ("a", "c")]
    events = [event(fields={"title": step}) for step in steps]
    messages = composed(subscription(coalesce_s=60), events).new
    assert [one.state for one in messages] == [DeliveryState.VOID, DeliveryState.PENDING]


def test_an_episode_that_was_created_is_told_whatever_changed_back() -> None:
    events = [event(CREATED, {"title": (None, "a")}), event(UPDATED, {"title": ("a", None)})]
    (message,) = composed(subscription(coalesce_s=60), events).new
    assert message.state is DeliveryState.PENDING


# --- scheduled


def test_changes_until_the_next_time_are_one_batch() -> None:
    events = [event(), event(podcast=8), event(CREATED, episode=OTHER)]
    (batch,) = composed(subscription(**HOURLY), events).new
    assert batch.outbox_ids == [one.outbox_id for one in events]
    assert (batch.due_us, batch.podcast_key) == (NEXT_HOUR_US, None)
    assert batch.message_id == f"batch_{events[0].id_for(batch.subscription_id)}"


def test_a_full_batch_is_followed_by_one_at_the_same_time() -> None:
    batches = composed(subscription(batch_size=2, **HOURLY), [event() for _ in range(5)]).new
    assert [len(one.outbox_ids) for one in batches] == [2, 2, 1]
    assert {one.due_us for one in batches} == {NEXT_HOUR_US}


def test_a_batch_holds_what_fits_into_a_message_and_one_change_however_large() -> None:
    small, large, huge = ({"title": (None, "x" * size)} for size in (7_000, 10_000, 30_000))
    batches = composed(
        subscription(**HOURLY), [event(fields=one) for one in (small, large, small, huge, small)]
    ).new
    assert [len(one.outbox_ids) for one in batches] == [2, 1, 1, 1]
    assert [one.size <= MAX_BATCH_BYTES for one in batches] == [True, True, False, True]


def test_fields_that_are_not_told_take_no_room() -> None:
    one = event(fields={"title": ("a", "b"), "description": (None, "x" * 5_000)})
    assert one.bytes_for(Listener(subscription(fields=["title"]))) < 1_000
    assert one.bytes_for(Listener(subscription())) > 5_000
    created = event(CREATED, {"title": (None, "b"), "description": (None, "x" * 5_000)})
    assert created.bytes_for(Listener(subscription(fields=["title"]))) > 5_000


# --- what waits in the registry


def _waiting(who: Subscription, events: list[Event], **said: Any) -> Message:
    (message,) = composed(who, events).new
    message.delivery_id, message.is_changed = 1, False
    for name, value in said.items():
        setattr(message, name, value)
    return message


@pytest.mark.parametrize("said", [HOURLY, {"coalesce_s": 60}])
def test_a_message_that_waits_takes_more_in_and_one_under_way_does_not(said: dict[str, Any]) -> None:
    who = subscription(**said)
    filled = composed(who, [event()], [_waiting(who, [event()])])
    assert filled.new == [] and [len(one.outbox_ids) for one in filled.changed] == [2]
    under_way = composed(who, [event()], [_waiting(who, [event()], is_open=False)])
    assert [len(one.outbox_ids) for one in under_way.new] == [1] and under_way.changed == []


# --- disabled


@pytest.mark.parametrize("said", [{}, HOURLY, {"coalesce_s": 60}])
def test_what_a_disabled_endpoint_misses_is_kept_for_replay(said: dict[str, Any]) -> None:
    events = [event(), event()]
    messages = composed(subscription(state=SubscriptionState.DISABLED, **said), events).new
    assert told(messages) == [one.outbox_id for one in events]
    for message in messages:
        assert (message.state, message.reason) == (DeliveryState.DEAD, "endpoint disabled")
        assert message.due_us == message.ended_us == NOW_US
    assert len(messages) == (1 if said == HOURLY else 2)


# --- whatever comes

CHANGES = st.builds(
    event,
    st.sampled_from([CREATED, UPDATED, REMOVED, PODCAST_UPDATED, MOVED]),
    st.dictionaries(
        st.sampled_from(["title", "link", "enclosure_url"]),
        st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["a", "b", "x" * 9_000])),
        min_size=1,
    ),
    st.sampled_from([EPISODE, OTHER]),
    st.sampled_from([PODCAST, 8]),
    st.sampled_from([(), ("enclosure_url",)]),
)
WISHES = st.sampled_from([{}, {"coalesce_s": 60}, HOURLY, HOURLY | {"batch_size": 3}, {"fields": ["title"]}])


@settings(max_examples=200, deadline=None)
@given(WISHES, st.lists(CHANGES, max_size=25), st.integers(0, 25))
def test_each_change_is_in_one_message_and_a_podcasts_messages_are_in_its_order(
    said: dict[str, Any], events: list[Event], cut: int
) -> None:
    who = subscription(**said)
    first = composed(who, events[:cut])
    waiting: dict[int | None, Message] = {}
    for number, message in enumerate(first.new, start=1):
        message.delivery_id, message.is_changed = number, False
        if message.state is DeliveryState.PENDING and message.due_us > NOW_US:
            waiting[message.podcast_key] = message
    second = composed(who, events[cut:], list(waiting.values()))
    messages = first.new + second.new
    assert sorted(told(messages)) == sorted(one.outbox_id for one in events)
    podcast_of = {one.outbox_id: one.podcast_key for one in events}
    for podcast in (PODCAST, 8):
        in_messages = [number for number in told(messages) if podcast_of[number] == podcast]
        assert in_messages == [one.outbox_id for one in events if one.podcast_key == podcast]
    for message in messages:
        assert message.size <= MAX_BATCH_BYTES or len(message.outbox_ids) == 1 or who.mode == "immediate"
        assert len(message.outbox_ids) <= who.batch_size
    whole = [(one.outbox_ids, one.state, one.size) for one in composed(who, events).new]
    if not any(one.state is DeliveryState.VOID for one in messages):  # how they come makes no difference
        assert [(one.outbox_ids, one.state, one.size) for one in messages] == whole
