"""The log of webhooks, and replays from it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, insert, select

from registry import tables
from registry.database import writing
from registry.delivery_log import (
    BATCH,
    Outcomes,
    Replayable,
    attempts_of,
    deliveries,
    made,
    outcomes,
    replay,
    replayable,
    senders,
    summary,
)
from registry.tables import DeliveryState, SubscriptionState
from tests.registry.webhook_rows import attempt, change, delivery, endpoint

SENT, DEAD, PENDING = DeliveryState.SENT, DeliveryState.DEAD, DeliveryState.PENDING
SENDING, VOID = DeliveryState.SENDING, DeliveryState.VOID
NOW = 1_000_000


def rows(engine: Engine) -> dict[str, dict[str, Any]]:
    """By message_id; of one endpoint."""
    with engine.connect() as connection:
        found = connection.execute(select(tables.deliveries)).mappings()
        return {row["message_id"]: dict(row) for row in found}


def test_the_log_tells_what_a_message_was_about(engine: Engine) -> None:
    at = endpoint(engine)
    new = change(engine, 7, 3)
    more = change(engine, 7, 4, change="episode.updated")
    delivery(engine, at, "evt_1", [new, more], created_us=1)
    delivery(engine, at, "batch_1", [new, more], podcast_key=None, created_us=2)
    notice = {"type": "subscription.disabled", "data": {}}
    delivery(engine, at, "ntc_1", notice=notice, podcast_key=None, created_us=3)
    told = [(each.message_id, each.type, each.sequence, each.changes) for each in deliveries(engine)]
    assert told == [
        ("ntc_1", "subscription.disabled", None, 0),
        ("batch_1", BATCH, None, 2),
        ("evt_1", "episode.created", 3, 2),
    ]


def test_the_log_is_narrowed_by_endpoint_state_time_and_message(engine: Engine) -> None:
    one, other = endpoint(engine), endpoint(engine)
    for at in (one, other):
        for hour, state in enumerate((SENT, DEAD, PENDING)):
            delivery(engine, at, f"evt_{hour}", state=state, created_us=hour)

    def ids(**which: Any) -> list[tuple[int, str]]:
        return [(each.subscription_id, each.message_id) for each in deliveries(engine, **which)]

    assert ids(subscription_id=one) == [(one, "evt_2"), (one, "evt_1"), (one, "evt_0")]
    assert ids(states=[DEAD, PENDING], subscription_id=other) == [(other, "evt_2"), (other, "evt_1")]
    assert ids(since_us=1, until_us=2) == [(other, "evt_1"), (one, "evt_1")]
    assert ids(message_id="evt_0") == [(other, "evt_0"), (one, "evt_0")]
    assert ids(message_id="evt_0", subscription_id=one) == [(one, "evt_0")]
    assert ids(limit=1) == [(other, "evt_2")]
    assert len(ids(limit=None)) == 6


def test_attempts_come_in_order_with_their_answers(engine: Engine) -> None:
    at = endpoint(engine)
    first, second = delivery(engine, at, "evt_1"), delivery(engine, at, "evt_2")
    attempt(engine, first, 2, outcome="server_error", status=500, answer="oh")
    attempt(engine, first, 1, outcome="timeout", status=None, detail="no answer in 15 s")
    found = attempts_of(engine, [first, second])
    told = [(each.number, each.outcome, each.status, each.detail, each.answer) for each in found[first]]
    assert told == [(1, "timeout", None, "no answer in 15 s", None), (2, "server_error", 500, None, "oh")]
    assert second not in found


def test_attempts_are_counted_by_how_they_ended_since_a_time(engine: Engine) -> None:
    at, other = endpoint(engine), endpoint(engine)
    ended = delivery(engine, at, "evt_old", created_us=0, ended_us=5)
    attempt(engine, ended, 1, started_us=1, outcome="dns")
    open_ = delivery(engine, at, "evt_new", state=SENDING, created_us=0)
    attempt(engine, open_, 1, started_us=8, outcome="busy", status=503, detail="first")
    attempt(engine, open_, 2, started_us=9, outcome="busy", status=503, detail="last")
    attempt(engine, open_, 3, started_us=10, outcome=None, status=None)
    attempt(engine, delivery(engine, other, "evt_new"), 1, started_us=9, outcome="gone")
    assert outcomes(engine, at, 6) == [
        Outcomes(None, None, 1, 10, None),
        Outcomes("busy", 503, 2, 9, "last"),
    ]
    assert outcomes(engine, at)[-1] == Outcomes("dns", 200, 1, 1, None)


def test_messages_and_the_changes_in_them_are_counted(engine: Engine) -> None:
    at = endpoint(engine)
    assert made(engine, at) == (0, 0)
    delivery(engine, at, "evt_1", [1], created_us=1)
    delivery(engine, at, "batch_1", [1, 2, 3], created_us=5)
    delivery(engine, at, "ntc_1", notice={"type": "x"}, created_us=6)
    assert made(engine, at) == (2, 4)
    assert made(engine, at, 5) == (1, 3)


def test_a_summary_counts_what_waits_is_due_failed_was_sent_and_is_dead(engine: Engine) -> None:
    at = endpoint(engine, failures=2, failing_since_us=3, paused_until_us=9, sent=2)
    idle = endpoint(engine, tenant="acme")
    gone = endpoint(engine, state=SubscriptionState.ENDED)
    delivery(engine, at, "a", state=PENDING, due_us=NOW - 5, failures=1)
    attempt(engine, delivery(engine, at, "b", state=SENDING, due_us=NOW - 9), outcome=None)
    delivery(engine, at, "c", state=PENDING, due_us=NOW + 5)
    for number, state in enumerate((SENT, SENT, DEAD, VOID)):
        delivery(engine, at, f"d{number}", state=state)
    first, second = summary(engine, NOW)
    assert (first.subscription_id, first.waiting, first.due, first.failed) == (at, 3, 1, 1)
    assert (first.oldest_due_us, first.next_due_us) == (NOW - 5, NOW - 5)
    assert (first.sent, first.dead, first.failures, first.failing_since_us) == (2, 1, 2, 3)
    assert (second.subscription_id, second.waiting, second.oldest_due_us, second.sent) == (idle, 0, None, 0)
    assert [each.subscription_id for each in summary(engine, NOW, tenant="acme")] == [idle]
    ended = summary(engine, NOW, with_ended=True)
    assert [each.subscription_id for each in ended] == [at, idle, gone]
    assert [each.subscription_id for each in summary(engine, NOW, subscription_id=at)] == [at]


def test_what_waits_is_due_when_it_could_go_out(engine: Engine) -> None:
    paused = endpoint(engine, paused_until_us=NOW + 7)
    ordered, other = endpoint(engine, is_ordered=True), endpoint(engine, is_ordered=True)
    disabled = endpoint(engine, state=SubscriptionState.DISABLED)
    for at in (paused, ordered, other, disabled):
        delivery(engine, at, "a", state=PENDING, due_us=NOW + 5 if at == ordered else NOW - 3, failures=1)
        delivery(engine, at, "b", state=PENDING, due_us=NOW - 9)
    told = {
        each.subscription_id: (each.waiting, each.due, each.oldest_due_us, each.next_due_us)
        for each in summary(engine, NOW)
    }
    assert told == {
        paused: (2, 0, None, NOW + 7),
        ordered: (2, 0, None, NOW + 5),  # behind its oldest message, which is tried again then
        other: (2, 2, NOW - 3, NOW - 3),
        disabled: (2, 0, None, None),
    }


def test_only_leases_that_run_tell_of_a_sender(engine: Engine) -> None:
    leases = ((1, "alive", NOW + 1), (2, "asleep", NOW), (3, None, NOW + 1))
    with writing(engine) as connection:
        for shard, owner, expires_us in leases:
            lease = {"shard": shard, "owner": owner, "expires_us": expires_us, "fence": 1}
            connection.execute(insert(tables.endpoint_leases).values(lease))
    assert senders(engine, NOW) == {1: "alive"}


def test_a_replay_of_a_range_queues_each_delivery_once_with_its_first_id(engine: Engine) -> None:
    at, other = endpoint(engine), endpoint(engine)
    for hour in range(5):
        for to in (at, other):
            delivery(engine, to, f"evt_{hour}", created_us=hour, attempts=3, failures=2, reason="500")
    before = deliveries(engine, subscription_id=at)
    assert replayable(engine, subscription_id=at, from_us=1, to_us=4) == Replayable(3, 0, 0, {})
    assert replay(engine, subscription_id=at, from_us=1, to_us=4, now_us=NOW) == 3
    after = deliveries(engine, subscription_id=at)
    assert [each.message_id for each in after] == [each.message_id for each in before]
    assert [each.delivery_id for each in after] == [each.delivery_id for each in before]
    again = {each.message_id: each for each in after if each.state is PENDING}
    assert sorted(again) == ["evt_1", "evt_2", "evt_3"]
    for each in again.values():
        assert (each.replays, each.failures, each.due_us, each.ended_us) == (1, 0, NOW, None)
        assert (each.attempts, each.reason) == (3, None)  # numbers of attempts only grow
    assert all(each.state is SENT for each in deliveries(engine, subscription_id=other))
    # The same again finds them waiting.
    assert replayable(engine, subscription_id=at, from_us=1, to_us=4) == Replayable(0, 3, 0, {})
    assert replay(engine, subscription_id=at, from_us=1, to_us=4, now_us=NOW + 1) == 0


@pytest.mark.parametrize("state", [PENDING, SENDING, VOID])
def test_what_waits_or_has_nothing_to_tell_is_left_alone(engine: Engine, state: DeliveryState) -> None:
    at = endpoint(engine)
    delivery(engine, at, "evt_1", state=state, due_us=99, failures=1)
    before = rows(engine)
    assert replay(engine, message_ids=["evt_1"], now_us=NOW) == 0
    assert replay(engine, subscription_id=at, now_us=NOW) == 0
    assert rows(engine) == before


def test_all_failed_since_a_time_are_replayed(engine: Engine) -> None:
    at, other = endpoint(engine), endpoint(engine)
    delivery(engine, at, "before", state=DEAD, created_us=1, ended_us=4)
    delivery(engine, at, "since", state=DEAD, created_us=1, ended_us=5)
    delivery(engine, at, "sent", state=SENT, created_us=6)
    delivery(engine, other, "elsewhere", state=DEAD, created_us=7)
    assert replayable(engine, failed_since_us=5) == Replayable(2, 0, 0, {})
    assert replay(engine, failed_since_us=5, subscription_id=at, now_us=NOW) == 1
    assert rows(engine)["since"]["state"] == PENDING
    assert replay(engine, failed_since_us=5, now_us=NOW) == 1
    assert {name for name, row in rows(engine).items() if row["state"] == PENDING} == {"since", "elsewhere"}


def test_messages_are_replayed_by_id_to_all_who_got_them_or_to_one(engine: Engine) -> None:
    one, other = endpoint(engine), endpoint(engine)
    for at in (one, other):
        delivery(engine, at, "evt_1")
        delivery(engine, at, "evt_2")
    assert replay(engine, message_ids=["evt_1", "nonsense"], subscription_id=one, now_us=NOW) == 1
    assert replay(engine, message_ids=["evt_1", "evt_1"], now_us=NOW) == 1  # at the other one
    states = {(each.subscription_id, each.message_id): each.state for each in deliveries(engine)}
    assert states == {
        (one, "evt_1"): PENDING, (other, "evt_1"): PENDING, (one, "evt_2"): SENT, (other, "evt_2"): SENT,
    }  # fmt: skip


@pytest.mark.parametrize("state", [SubscriptionState.DISABLED, SubscriptionState.ENDED])
def test_endpoints_that_are_not_sent_to_get_no_replay(engine: Engine, state: SubscriptionState) -> None:
    at = endpoint(engine, state=state)
    delivery(engine, at, "evt_1", state=DEAD)
    delivery(engine, at, "evt_2", state=DEAD)
    assert replayable(engine, failed_since_us=0) == Replayable(0, 0, 0, {at: 2})
    assert replay(engine, failed_since_us=0, now_us=NOW) == 0


def test_a_replay_of_everything_must_be_meant(engine: Engine) -> None:
    with pytest.raises(ValueError, match="needs messages, an endpoint"):
        replay(engine, from_us=0, now_us=NOW)


LOGGED = st.lists(st.tuples(st.sampled_from(DeliveryState), st.integers(0, 9)), max_size=12)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(LOGGED, st.integers(0, 9), st.integers(0, 9))
def test_what_a_replay_says_beforehand_it_does_and_touches_nothing_else(
    engine: Engine, logged: list[tuple[DeliveryState, int]], from_us: int, to_us: int
) -> None:
    with writing(engine) as connection:
        connection.execute(delete(tables.deliveries))
    at = endpoint(engine)
    for number, (state, created_us) in enumerate(logged):
        delivery(engine, at, f"evt_{number}", state=state, created_us=created_us)
    before = rows(engine)
    said = replayable(engine, subscription_id=at, from_us=from_us, to_us=to_us)
    done = replay(engine, subscription_id=at, from_us=from_us, to_us=to_us, now_us=NOW)
    after = rows(engine)
    changed = {name for name in before if before[name] != after[name]}
    assert done == said.queued == len(changed)
    assert before.keys() == after.keys()
    for name, row in before.items():
        meant = from_us <= row["created_us"] < to_us and row["state"] in (SENT, DEAD)
        assert (name in changed) == meant
        assert after[name]["replays"] == row["replays"] + meant
