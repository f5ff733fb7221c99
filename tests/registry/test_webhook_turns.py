"""A sender's turns: what is begun, in which order, what failures lead to, and who is told (UPDATES §5)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import Engine, select, update

from registry.database import writing
from registry.deliveries import Attempt
from registry.forgetting import forget
from registry.subscriptions import ENDPOINT_SHARDS, get, resume
from registry.subscriptions import end as unsubscribe
from registry.tables import DeliveryState, SubscriptionState, attempts, outbox
from registry.tables import deliveries as table
from serving.webhooks.outcomes import Outcome, Result
from serving.webhooks.schedule import MAX_FAILURES, RETRY_DELAYS_S, retry_delay_us
from serving.webhooks.send import CONNECTIONS
from serving.webhooks.turns import IN_FLIGHT, IN_ORDER, room_of
from tests.registry.webhook_rows import change, delivery, endpoint
from tests.registry.webhook_sender import DAY, H, S, Sender

OK, BROKEN = Result(Outcome.SENT, 200), Result(Outcome.SERVER_ERROR, 500, detail="500 Oops")


def waiting(engine: Engine, subscription_id: int, count: int = 1, first: int = 1, **given: Any) -> list[int]:
    """Deliveries that are due, each of a change of its own."""
    return [
        delivery(
            engine,
            subscription_id,
            f"evt_{number}",
            [change(engine, subscription_id, number)],
            **{"state": DeliveryState.PENDING, "attempts": 0} | given,
        )
        for number in range(first, first + count)
    ]


def row(engine: Engine, delivery_id: int) -> Any:
    with engine.connect() as connection:
        return connection.execute(select(table).where(table.c.delivery_id == delivery_id)).one()


def log_of(engine: Engine, delivery_id: int) -> list[Any]:
    mine = select(attempts).where(attempts.c.delivery_id == delivery_id).order_by(attempts.c.number)
    with engine.connect() as connection:
        return list(connection.execute(mine))


def test_what_is_due_is_begun_once_with_its_changes_and_ends_as_sent(engine: Engine) -> None:
    one = endpoint(engine)
    (first,) = waiting(engine, one)
    waiting(engine, one, first=2, due_us=9_999 * DAY)
    sender = Sender(engine).take()
    begun = sender.turn().begun
    assert [(each.delivery_id, each.number, each.message_id) for each in begun] == [(first, 1, "evt_1")]
    assert [(each.podcast_key, each.sequence) for each in begun[0].changes] == [(one, 1)]
    assert sender.turn({one: 1}).begun == []
    sender.answer(begun, OK)
    assert [ended.state for ended in sender.turn().ended] == [DeliveryState.SENT]
    done = row(engine, first)
    assert (done.state, done.ended_us, done.attempts, done.failures) == ("sent", sender.now_us, 1, 0)
    assert get(engine, one).succeeded_us == sender.now_us


def test_only_one_sender_holds_a_shard_and_an_answer_of_one_that_lost_it_is_dropped(engine: Engine) -> None:
    one = endpoint(engine)
    (first,) = waiting(engine, one)
    slept = Sender(engine, name="slept").take(ttl_s=5)
    begun = slept.turn().begun
    other = Sender(engine, slept.now_us + S, name="other").take()
    assert other.held == []
    other.now_us += 10 * S
    other.take()
    again = other.turn().begun
    assert [(each.delivery_id, each.number) for each in again] == [(first, 2)]
    slept.answer(begun, BROKEN)
    turned = slept.turn()
    assert (turned.ended, turned.begun) == ([], [])
    assert turned.lost == list(range(ENDPOINT_SHARDS))
    other.answer(again, OK)
    other.turn()
    assert [each.outcome for each in log_of(engine, first)] == ["interrupted", "sent"]
    assert get(engine, one).failures == 0


def test_an_interrupted_attempt_is_made_again_at_once_and_is_no_failure(engine: Engine) -> None:
    one = endpoint(engine)
    waiting(engine, one, failures=3)
    Sender(engine, name="killed").take(ttl_s=1).turn()
    sender = Sender(engine, 1_000 * DAY + 2 * S).take()
    (again,) = sender.turn().begun
    assert (again.number, again.failures, again.message_id) == (2, 3, "evt_1")


def test_of_one_endpoint_so_many_requests_are_out_at_a_time(engine: Engine) -> None:
    one, ordered = endpoint(engine), endpoint(engine, is_ordered=True)
    waiting(engine, one, 30)
    waiting(engine, ordered, 30)
    sender = Sender(engine).take()
    begun = sender.turn().begun
    counts = {each: sum(a.subscription.subscription_id == each for a in begun) for each in (one, ordered)}
    assert counts == {one: IN_FLIGHT, ordered: IN_ORDER}
    assert sender.turn({one: IN_FLIGHT, ordered: 1}).begun == []
    assert len(sender.turn({one: IN_FLIGHT - 3, ordered: 1}).begun) == 3


def test_an_ordered_endpoint_waits_for_its_oldest_message(engine: Engine) -> None:
    one = endpoint(engine, is_ordered=True)
    first, *others = waiting(engine, one, 3)
    sender = Sender(engine).take()
    begun = sender.turn().begun
    assert [each.delivery_id for each in begun] == [first, *others]
    sender.answer(begun[:1], BROKEN)
    sender.answer(begun[1:], None)  # behind the failure they were not sent
    assert sender.turn().begun == []
    assert [log_of(engine, other) for other in others] == [[], []]
    sender.now_us = row(engine, first).due_us
    begun = sender.turn().begun
    assert [(each.delivery_id, each.number) for each in begun] == [(first, 2), (others[0], 1), (others[1], 1)]


def test_a_message_that_an_ordered_endpoint_never_takes_is_passed_over_in_the_end(engine: Engine) -> None:
    one = endpoint(engine, is_ordered=True)
    first, second = waiting(engine, one, 2)
    sender = Sender(engine).take()
    sender.goes_on(lambda attempt, _: BROKEN if attempt.delivery_id == first else OK, sender.now_us + 100 * H)
    assert [row(engine, each).state for each in (first, second)] == ["dead", "sent"]
    assert row(engine, first).reason == "gave up after 10 attempts: 500 Oops"
    assert len(log_of(engine, first)) == MAX_FAILURES


def test_retries_come_after_the_documented_delays_with_full_jitter(engine: Engine) -> None:
    one = endpoint(engine)
    waiting(engine, one)
    sender = Sender(engine).take()
    begun_us: list[int] = []

    def fails(attempt: Attempt, now_us: int) -> Result:
        begun_us.append(now_us)
        return BROKEN

    sender.goes_on(fails, sender.now_us + 4 * DAY)
    waits = [after - before for before, after in pairwise(begun_us)]
    asked = [retry_delay_us("evt_1", failures) for failures in range(1, MAX_FAILURES)]
    assert len(waits) == MAX_FAILURES - 1
    # From the fifth failure in a row on the endpoint rests at least as long as that.
    pauses = [0, 0, 0, 0, 5 * S, 30 * S, 60 * S, 120 * S, 300 * S]
    assert waits == [max(pair) for pair in zip(asked, pauses, strict=True)]
    assert all(wait <= delay * S for wait, delay in zip(asked, RETRY_DELAYS_S, strict=True))


def test_retry_after_pauses_the_whole_endpoint(engine: Engine) -> None:
    one, other = endpoint(engine), endpoint(engine)
    waiting(engine, one, 10)
    waiting(engine, other, 1)
    sender = Sender(engine).take()
    begun = [each for each in sender.turn().begun if each.subscription.subscription_id == one]
    busy = Result(Outcome.BUSY, 429, detail="429 Too Many Requests", retry_after_s=1800)
    sender.answer(begun[:1], busy)
    sender.answer(begun[1:], OK)
    assert sender.turn().begun == []
    sender.now_us += 1799 * S
    assert sender.turn().begun == []
    sender.now_us += 2 * S
    assert {each.delivery_id for each in sender.turn().begun} > {begun[0].delivery_id}


def test_a_failing_endpoint_is_probed_with_one_message_at_a_time(engine: Engine) -> None:
    one = endpoint(engine)
    waiting(engine, one, 60)
    sender = Sender(engine).take()
    at_a_time = []
    while begun := sender.turn().begun:
        at_a_time.append(len(begun))
        sender.answer(begun, BROKEN)
        sender.now_us += S
    assert at_a_time == [8, 4, 2, 1, 1]  # each time it failed once, whatever was out
    waited = get(engine, one).paused_until_us - sender.now_us
    assert waited > 0
    sender.now_us += waited
    probe = sender.turn().begun
    assert len(probe) == 1
    assert sender.turn({one: 1}).begun == []
    sender.answer(probe, OK)
    assert len(sender.turn().begun) == IN_FLIGHT


def test_gone_disables_at_once_keeps_what_waits_and_tells_the_tenants_other_endpoints(engine: Engine) -> None:
    one, same = endpoint(engine), endpoint(engine)  # two subscriptions of one URL
    other, strange = endpoint(engine, url="https://b.example"), endpoint(engine, url="u", tenant="b")
    waiting(engine, one, 12)
    sender = Sender(engine).take()
    begun = sender.turn().begun
    sender.answer(begun[:1], Result(Outcome.GONE, 410, detail="410 Gone"))
    sender.answer(begun[1:], BROKEN)  # were out, too
    turned = sender.turn()
    assert turned.disabled == [one]
    found = get(engine, one)
    assert (found.state, found.reason) == (SubscriptionState.DISABLED, "it answered 410 Gone")
    with engine.connect() as connection:
        states = set(connection.scalars(select(table.c.state).where(table.c.subscription_id == one)))
    assert states == {"dead"}
    (notice,) = turned.begun
    assert notice.subscription.subscription_id == other not in (same, strange)
    assert notice.notice["type"] == "subscription.disabled"
    assert notice.notice["data"]["subscription"] == one


@pytest.mark.parametrize("recovers", [True, False])
def test_five_days_without_a_success_disable_an_endpoint(engine: Engine, recovers: bool) -> None:
    one = endpoint(engine)
    sender = Sender(engine).take()
    began_us = sender.now_us

    def answer(attempt: Attempt, now_us: int) -> Result:
        return OK if recovers and now_us > began_us + 4.5 * DAY else BROKEN

    for day in range(8):
        waiting(engine, one, first=10 * day, due_us=began_us + day * DAY)
        sender.goes_on(answer, began_us + (day + 1) * DAY - 1)
    found = get(engine, one)
    assert found.state == ("active" if recovers else "disabled")
    if not recovers:
        assert began_us + 5 * DAY <= found.state_us < began_us + 6 * DAY + H
        assert "attempts since" in (found.reason or "")


def test_what_ended_long_ago_is_forgotten_with_its_changes_but_none_that_others_wait_for(
    engine: Engine,
) -> None:
    one, other = endpoint(engine), endpoint(engine)
    shared, alone, young = (change(engine, 7, number) for number in (1, 2, 3))
    delivery(engine, one, "evt_1", [shared], created_us=10, ended_us=20)
    delivery(engine, one, "evt_2", [alone], created_us=10, ended_us=20)
    digest = delivery(
        engine, other, "batch_1", [shared], created_us=15, state=DeliveryState.PENDING, due_us=DAY
    )
    kept = delivery(engine, one, "evt_3", [young], created_us=40, ended_us=50)
    assert forget(engine, 30)
    with engine.connect() as connection:
        assert set(connection.scalars(select(table.c.delivery_id))) == {digest, kept}
        numbers = set(connection.scalars(select(outbox.c.sequence)))
    assert numbers == {1, 3}


def test_a_message_that_another_transaction_adds_to_goes_out_with_what_it_adds(
    engine: Engine, backend: str
) -> None:
    if backend == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    one, ordered = endpoint(engine), endpoint(engine, is_ordered=True)
    sender = Sender(engine).take()
    for at in (one, ordered):
        (first,) = waiting(engine, at)
        more = change(engine, at, 2)
        with writing(engine) as handing_over:
            row_of = table.c.delivery_id == first
            held = handing_over.execute(select(table).where(row_of).with_for_update()).one()
            handing_over.execute(update(table).where(row_of).values(outbox_ids=[*held.outbox_ids, more]))
            assert sender.turn().begun == []
        (begun,) = sender.turn().begun
        assert [each.sequence for each in begun.changes] == [1, 2]


def test_what_was_out_when_its_endpoint_was_unsubscribed_does_not_wait_for_ever(engine: Engine) -> None:
    one = endpoint(engine)
    first, second = waiting(engine, one, 2)
    killed = Sender(engine, name="killed").take(ttl_s=1)
    killed.turn()
    unsubscribe(engine, one, killed.now_us)
    sender = Sender(engine, killed.now_us + 2 * S).take()
    assert sender.turn().begun == []
    assert [(row(engine, each).state, row(engine, each).reason) for each in (first, second)] == [
        ("dead", "unsubscribed")
    ] * 2


def test_a_slow_rate_is_kept_by_whoever_sends(engine: Engine) -> None:
    one = endpoint(engine, rate_per_s=0.02)
    waiting(engine, one, 3)
    sender = Sender(engine).take()
    begun = sender.turn().begun
    assert len(begun) == 1
    sender.answer(begun, OK)
    assert sender.turn().begun == []
    assert get(engine, one).paused_until_us == sender.now_us + 50 * S


def test_slow_endpoints_leave_room_for_others(engine: Engine) -> None:
    one = get(engine, endpoint(engine))
    assert [room_of(one, 0, out) for out in (0, CONNECTIONS // 2, CONNECTIONS)] == [IN_FLIGHT, 2, 1]
    assert room_of(one, 2, CONNECTIONS // 2) == 0


def test_of_more_endpoints_than_a_turn_takes_each_has_its_turn(engine: Engine) -> None:
    ids = [endpoint(engine) for _ in range(230)]
    for one in ids:
        waiting(engine, one, 6)
    sender, seen = Sender(engine).take(), set()
    for _ in range(12):
        begun = sender.turn().begun
        seen |= {each.subscription.subscription_id for each in begun}
        sender.answer(begun, OK)
    assert seen == set(ids)


def test_resuming_lifts_a_pause(engine: Engine) -> None:
    one = endpoint(engine, paused_until_us=2_000 * DAY, failures=7, failed_us=1)
    waiting(engine, one)
    sender = Sender(engine).take()
    assert sender.turn().begun == []
    resume(engine, one, sender.now_us)
    assert len(sender.turn().begun) == 1
