"""Subscriptions are kept whole; secrets turn over; the end is the end."""

from __future__ import annotations

import base64

import pytest
from sqlalchemy import Engine, insert, select

from ingest.feeds.schema import ChangeType
from registry.subscribing import BadSubscription, PodcastFilter, wish
from registry.subscriptions import (
    UnknownSubscription,
    add,
    end,
    endpoint_shard,
    get,
    listing,
    resume,
    rotate,
)
from registry.tables import DeliveryState, SubscriptionState, deliveries, subscriptions

URL = "https://hooks.example.com/earshot"
NOW_US = 1_790_000_000_000_000
HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000


def test_a_subscription_is_kept_whole(engine: Engine) -> None:
    said = wish(
        URL,
        tenant="acme",
        types=["episode.created", "podcast.moved"],
        podcasts=[-(2**63), "17", 17],
        fields=["title", "enclosure_url"],
        mode="scheduled",
        cron="0 7 * * *",
        time_zone="Europe/Berlin",
        batch_size=7,
        is_ordered=True,
        rate_per_s=2,
    )
    made = add(engine, said, NOW_US)
    assert made.podcasts == PodcastFilter(keys=(-(2**63), 17))
    assert made.types == (ChangeType.PODCAST_MOVED, ChangeType.EPISODE_CREATED)
    assert {name: getattr(made, name) for name in said.__dataclass_fields__} == vars(said)
    assert (made.state, made.state_us, made.created_us) == (SubscriptionState.ACTIVE, NOW_US, NOW_US)
    assert get(engine, made.subscription_id) == made
    assert made.secret not in repr(made)
    labelled = add(engine, wish(URL, labels=["b", "a"], coalesce_s=1.5), NOW_US)
    assert get(engine, labelled.subscription_id).podcasts == PodcastFilter(labels=("a", "b"))
    assert listing(engine) == [made, labelled] and listing(engine, "acme") == [made]


def test_an_unknown_subscription_is_said_to_be_unknown(engine: Engine) -> None:
    for number in (0, -1, 1, 2**63, 10**30):
        for asked in (lambda one: get(engine, one), lambda one: end(engine, one, NOW_US)):
            with pytest.raises(UnknownSubscription, match=f"no subscription {number}$"):
                asked(number)


def test_during_a_day_of_rotation_two_secrets_sign(engine: Engine) -> None:
    first = add(engine, wish(URL), NOW_US)
    assert first.secrets(NOW_US) == (first.secret,)
    second = rotate(engine, first.subscription_id, NOW_US)
    assert second.secret != first.secret
    assert second.secrets(NOW_US + DAY_US - 1) == (second.secret, first.secret)
    assert second.secrets(NOW_US + DAY_US) == (second.secret,)
    third = rotate(engine, first.subscription_id, NOW_US + HOUR_US, base64.b64encode(b"3" * 32).decode())
    assert third.secrets(NOW_US + HOUR_US) == ("whsec_" + base64.b64encode(b"3" * 32).decode(), second.secret)
    said_again = rotate(engine, first.subscription_id, NOW_US + 2 * HOUR_US, third.secret)
    assert said_again == third
    with pytest.raises(BadSubscription, match=r"^secret: "):
        rotate(engine, first.subscription_id, NOW_US, "short")


def _deliver(engine: Engine, subscription_id: int, state: DeliveryState, number: int) -> None:
    row = {
        "message_id": f"evt_{number}",
        "subscription_id": subscription_id,
        "shard": endpoint_shard(subscription_id),
        "outbox_ids": [number],
        "size": 1,
        "state": state,
        **dict.fromkeys(("created_us", "due_us", "attempts", "failures", "replays"), 0),
    }
    with engine.begin() as connection:
        connection.execute(insert(deliveries), [row])


def test_the_end_of_a_subscription_is_that_of_what_waits_for_it(engine: Engine) -> None:
    ended, other = (add(engine, wish(URL), NOW_US).subscription_id for _ in range(2))
    states = (DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.SENT, DeliveryState.DEAD)
    for number, state in enumerate(states):
        _deliver(engine, ended, state, number)
    _deliver(engine, other, DeliveryState.PENDING, 1)
    assert end(engine, ended, NOW_US + 1).state is SubscriptionState.ENDED
    assert end(engine, ended, NOW_US + 2).state_us == NOW_US + 1
    columns = deliveries.c
    with engine.connect() as connection:
        found = connection.execute(
            select(columns.state, columns.reason, columns.ended_us).order_by(columns.delivery_id)
        ).all()
    assert found[0] == ("dead", "unsubscribed", NOW_US + 1)
    assert [row.state for row in found[1:]] == ["sending", "sent", "dead", "pending"]
    assert [one.subscription_id for one in listing(engine)] == [other]
    assert [one.subscription_id for one in listing(engine, with_ended=True)] == [ended, other]
    for asked in (rotate, resume):
        with pytest.raises(UnknownSubscription, match="has ended"):
            asked(engine, ended, NOW_US)


def test_a_disabled_subscription_starts_afresh(engine: Engine) -> None:
    made = add(engine, wish(URL), NOW_US)
    assert resume(engine, made.subscription_id, NOW_US + 1) == made
    failing = {"failures": 9, "failing_since_us": 5, "paused_until_us": 2**60, "succeeded_us": 4}
    with engine.begin() as connection:
        disabled = {"state": SubscriptionState.DISABLED, "reason": "410", **failing}
        connection.execute(subscriptions.update().values(disabled))
    again = resume(engine, made.subscription_id, NOW_US + 1)
    assert (again.state, again.reason, again.state_us) == (SubscriptionState.ACTIVE, None, NOW_US + 1)
    assert (again.failures, again.failing_since_us, again.paused_until_us) == (0, None, 0)
    assert again.succeeded_us == 4
