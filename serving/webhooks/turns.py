"""A turn of a sender: in one transaction, what the answers come to is written and what is due is begun."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from operator import attrgetter
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
from serving.webhooks.outcomes import Outcome, Result
from serving.webhooks.schedule import retry_us
from serving.webhooks.send import CONNECTIONS

IN_FLIGHT = 8  # requests at a time to one endpoint
IN_ORDER = 16  # begun at a time for an ordered one, and sent one after the other
_PER_TURN = 200  # begun at a time in all: a transaction stays short
# Requests that are out, of which on an endpoint may have fewer at a time: slow ones leave room for others.
_CROWDED = ((CONNECTIONS // 2, 2), (CONNECTIONS * 3 // 4, 1))
_DISABLED = "subscription.disabled"

_Answer = tuple[int, int, Result]  # when it was there, when its attempt was begun, what it is


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
    inactive: set[int] = field(default_factory=set)  # of those with attempts in flight
    lost: list[int] = field(default_factory=list)  # shards that another sender has


def turn(
    engine: Engine,
    held: Sequence[Lease],
    answered: Sequence[Answered],
    in_flight: Mapping[int, int],
    now_us: int,
    may_begin: bool = True,
    out: int = 0,
) -> Turned:
    """One turn. `in_flight`: subscription id → attempts begun of which no answer is in `answered` yet; `out`:
    requests being made.

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
                if (room := room_of(subscription, in_flight.get(subscription.subscription_id, 0), out)) > 0
            ]
            turned.begun = deliveries.begin(connection, held[0].owner, _shared_out(rooms), now_us)
        turned.inactive = deliveries.inactive(
            connection, [each for each, count in in_flight.items() if count]
        )
    return turned


def room_of(subscription: Subscription, in_flight: int, out: int = 0) -> int:
    """How many attempts may be begun for an endpoint: fewer where it fails, one alone to probe it."""
    most = IN_ORDER if subscription.is_ordered else IN_FLIGHT
    if subscription.failures:
        most = 1 if subscription.failures >= PROBE_AFTER else max(1, most >> subscription.failures)
    if subscription.rate_per_s is not None:
        most = min(most, max(1, int(subscription.rate_per_s)))  # not more than a second's worth waits in here
    if subscription.is_ordered:
        return most if in_flight == 0 else 0
    for crowd, fewer in _CROWDED:
        if out >= crowd:
            most = min(most, fewer)
    return most - in_flight


def _shared_out(rooms: list[tuple[Subscription, int]]) -> list[tuple[Subscription, int]]:
    """At most _PER_TURN in all, a fair share for each; of more endpoints than that any, each time others."""
    if sum(room for _, room in rooms) <= _PER_TURN:
        return rooms
    if len(rooms) > _PER_TURN:
        rooms = random.sample(rooms, _PER_TURN)
    fair = _PER_TURN // len(rooms)
    return [(subscription, min(room, fair)) for subscription, room in rooms]


def _end(connection: Connection, answered: Sequence[Answered], now_us: int, turned: Turned) -> None:
    deliveries.give_back(connection, [each.attempt for each in answered if each.result is None], now_us)
    turned.ended = [ended for each in answered if (ended := ended_of(each)) is not None]
    if not turned.ended:
        return
    deliveries.end(connection, turned.ended, now_us)
    results: dict[int, list[_Answer]] = {}
    for each in sorted(answered, key=attrgetter("at_us")):
        if each.result is not None:
            of = results.setdefault(each.attempt.subscription.subscription_id, [])
            of.append((each.at_us, each.attempt.begun_us, each.result))
    known = (
        select(subscriptions)
        .where(subscriptions.c.subscription_id.in_(results))
        .with_for_update(key_share=True)
    )
    for row in connection.execute(known).all():
        if row.state != SubscriptionState.ACTIVE:
            # Answers still came after it was disabled or ended: what would be tried again is given up, too.
            deliveries.give_up(connection, row.subscription_id, now_us)
            continue
        reason = _fares(connection, row, results[row.subscription_id])
        if reason is not None and deliveries.disable(connection, row.subscription_id, reason, now_us):
            turned.disabled.append(row.subscription_id)
            data = DisabledData(subscription=row.subscription_id, url=row.url, reason=reason)
            notice = {"type": _DISABLED, "data": data.model_dump(), "at_us": now_us}
            deliveries.notify(connection, row.tenant, row.url, notice, now_us)


def _fares(connection: Connection, row: Row[Any], results: Sequence[_Answer]) -> str | None:
    """Write down how an endpoint fares after these, oldest first; why it is to be disabled, or None."""
    health = Health(**{each.name: getattr(row, each.name) for each in fields(Health)})
    reason = None
    for at_us, begun_us, result in results:
        health, reason = after(health, result, at_us, begun_us)
        if reason is not None:
            break
    if row.rate_per_s is not None and row.rate_per_s < 1:
        # So long that the next request may be another sender's: the pause is where all see it.
        next_us = results[-1][0] + round(1e6 / row.rate_per_s)
        health = replace(health, paused_until_us=max(health.paused_until_us, next_us))
    took = sum(result.is_success for _, _, result in results)
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
    if result.outcome is Outcome.NOT_SENT:  # it would be the same each time
        return _ended(attempt, result, DeliveryState.DEAD, f"cannot be sent: {reason}", at_us)
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
