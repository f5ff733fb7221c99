"""A turn of a sender: in one transaction, what the answers come to is written and what is due is begun."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Engine, Row, select, update

from registry import deliveries
from registry.database import writing
from registry.deliveries import Attempt, Ended
from registry.leases import Lease
from registry.subscriptions import Subscription
from registry.tables import DeliveryState, SubscriptionState, subscriptions
from serving.webhooks.breaker import PROBE_AFTER, Health, after
from serving.webhooks.messages import DisabledData
from serving.webhooks.outcomes import Result
from serving.webhooks.schedule import retry_us

IN_FLIGHT = 8  # requests at a time to one endpoint
IN_ORDER = 16  # begun at a time for an ordered one, and sent one after the other
_PER_TURN = 500  # begun at a time in all: a transaction stays short
_DISABLED = "subscription.disabled"


@dataclass(frozen=True)
class Answered:
    """What came of an attempt, and when."""

    attempt: Attempt
    result: Result | None  # None: it was not made after all
    at_us: int


@dataclass
class Turned:
    """What a turn brought."""

    begun: list[Attempt] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    disabled: list[int] = field(default_factory=list)  # subscription ids
    lost: list[int] = field(default_factory=list)  # shards that another sender has


def turn(
    engine: Engine,
    held: Sequence[Lease],
    answered: Sequence[Answered],
    in_flight: Mapping[int, int],
    now_us: int,
    may_begin: bool = True,
) -> Turned:
    """One turn. `in_flight`: subscription id → attempts begun of which no answer is in `answered` yet.

    Answers of attempts that are not ours any more are dropped: another sender has made the next ones.
    """
    turned = Turned()
    if not held:
        return turned
    with writing(engine) as connection:
        ours = deliveries.still_ours(connection, held)
        turned.lost = sorted({lease.shard for lease in held} - ours)
        if answered:
            owner = held[0].owner
            still_open = deliveries.open_of(connection, owner)
            _end(
                connection,
                [
                    each
                    for each in answered
                    if (each.attempt.delivery_id, each.attempt.number) in still_open
                    and each.attempt.subscription.shard in ours
                ],
                now_us,
                turned,
            )
        if may_begin and ours:
            rooms = [
                (subscription, room)
                for subscription in deliveries.ready(connection, ours, now_us)
                if (room := room_of(subscription, in_flight.get(subscription.subscription_id, 0))) > 0
            ]
            turned.begun = deliveries.begin(connection, held[0].owner, _shared_out(rooms), now_us)
    return turned


def room_of(subscription: Subscription, in_flight: int) -> int:
    """How many attempts may be begun for an endpoint: one alone where it fails."""
    if subscription.failures >= PROBE_AFTER:
        return 1 if in_flight == 0 else 0
    most = IN_ORDER if subscription.is_ordered else IN_FLIGHT
    if subscription.rate_per_s is not None:
        most = min(most, max(1, int(subscription.rate_per_s)))  # not more than a second's worth waits in here
    if subscription.is_ordered:
        return most if in_flight == 0 else 0
    return most - in_flight


def _shared_out(rooms: list[tuple[Subscription, int]]) -> list[tuple[Subscription, int]]:
    """At most _PER_TURN in all, a fair share for each."""
    if sum(room for _, room in rooms) <= _PER_TURN:
        return rooms
    fair = max(1, _PER_TURN // len(rooms))
    return [(subscription, min(room, fair)) for subscription, room in rooms[:_PER_TURN]]


def _end(connection: Connection, answered: Sequence[Answered], now_us: int, turned: Turned) -> None:
    deliveries.give_back(connection, [each.attempt for each in answered if each.result is None])
    turned.ended = [ended for each in answered if (ended := ended_of(each)) is not None]
    if not turned.ended:
        return
    deliveries.end(connection, turned.ended, now_us)
    results: dict[int, list[tuple[int, Result]]] = {}
    for each in answered:
        if each.result is not None:
            of = results.setdefault(each.attempt.subscription.subscription_id, [])
            of.append((each.at_us, each.result))
    known = select(subscriptions).where(subscriptions.c.subscription_id.in_(results)).with_for_update()
    for row in connection.execute(known).all():
        if row.state != SubscriptionState.ACTIVE:
            # Answers still came after it was disabled or ended: what would be tried again is given up, too.
            deliveries.give_up(connection, row.subscription_id, now_us)
            continue
        reason = _fares(connection, row, sorted(results[row.subscription_id], key=itemgetter(0)))
        if reason is not None and deliveries.disable(connection, row.subscription_id, reason, now_us):
            turned.disabled.append(row.subscription_id)
            data = DisabledData(subscription=row.subscription_id, url=row.url, reason=reason)
            notice = {"type": _DISABLED, "data": data.model_dump(), "at_us": now_us}
            deliveries.notify(connection, row.tenant, row.url, notice, now_us)


def _fares(connection: Connection, row: Row[Any], results: Sequence[tuple[int, Result]]) -> str | None:
    """Write down how an endpoint fares after these; why it is to be disabled, or None."""
    health = Health(row.failures, row.failing_since_us, row.succeeded_us, row.paused_until_us)
    reason = None
    for at_us, result in results:
        health, reason = after(health, result, at_us)
        if reason is not None:
            break
    took = sum(result.is_success for _, result in results)
    connection.execute(
        update(subscriptions)
        .where(subscriptions.c.subscription_id == row.subscription_id)
        .values(**asdict(health), sent=subscriptions.c.sent + took)
    )
    return reason


def ended_of(answered: Answered) -> Ended | None:
    """What becomes of a delivery after an attempt; None: it was not made."""
    attempt, result, at_us = answered.attempt, answered.result, answered.at_us
    if result is None:
        return None
    if result.is_success:
        return _ended(attempt, result, DeliveryState.SENT, None, at_us)
    reason, failures = result.detail or str(result.outcome), attempt.failures + 1
    due_us = retry_us(attempt.message_id, failures, result.retry_after_s, at_us)
    if due_us is None:
        gave_up = f"gave up after {failures} attempts: {reason}"
        return _ended(attempt, result, DeliveryState.DEAD, gave_up, at_us)
    return _ended(attempt, result, DeliveryState.PENDING, reason, due_us)


def _ended(attempt: Attempt, result: Result, state: DeliveryState, reason: str | None, due_us: int) -> Ended:
    return Ended(
        attempt,
        str(result.outcome),
        result.ms,
        result.status,
        result.detail,
        result.answer,
        state,
        reason,
        due_us,
    )
