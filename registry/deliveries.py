"""Deliveries that wait, are sent and end: the statements of a sender's turn, and what is due.

A sender begins an attempt before it sends and ends it when the answer is there, both in a transaction that
holds its leases' rows (`still_ours`). So two senders never have one attempt, and whoever takes a shard over
finds the attempts of the one before still open (`interrupt`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from operator import itemgetter
from typing import Any
from uuid import uuid4

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    select,
    tuple_,
    update,
)

from registry.batches import PARAMETERS, batches
from registry.leases import Lease, taken
from registry.subscriptions import (
    ENDPOINT_DISABLED,
    ENDPOINT_SHARDS,
    UNSUBSCRIBED,
    Subscription,
    endpoint_shard,
    subscription_of,
)
from registry.tables import (
    DeliveryState,
    SubscriptionState,
    attempts,
    deliveries,
    endpoint_leases,
    is_pending,
    outbox,
    subscriptions,
)

_GIVEN_UP = {SubscriptionState.DISABLED: ENDPOINT_DISABLED, SubscriptionState.ENDED: UNSUBSCRIBED}


@dataclass(frozen=True)
class Change:
    """A change as the outbox holds it."""

    podcast_key: int
    sequence: int
    change: str  # ingest.feeds.schema.ChangeType
    detected_us: int
    data: Any  # registry.outbox.ChangeData


@dataclass(frozen=True)
class Attempt:
    """A request that is ours to make: begun in the log, not yet sent."""

    delivery_id: int
    number: int  # from 1
    message_id: str
    subscription: Subscription
    failures: int  # of the delivery, before this attempt
    begun_us: int
    changes: tuple[Change, ...] = field(repr=False)
    notice: Any = field(repr=False)  # {"type", "data"}, instead of changes


@dataclass(frozen=True)
class Ended:
    """What is written of an attempt, and what becomes of its delivery."""

    attempt: Attempt
    outcome: str
    ms: int
    status: int | None
    detail: str
    answer: str
    state: DeliveryState
    reason: str | None
    due_us: int  # of the next attempt, where it stays pending


def due_shards(engine: Engine, now_us: int) -> dict[int, int]:
    """Endpoint shard → when its first delivery is due; at once where a sender did not come to an end.

    Shards that a sender is at are left out.
    """
    under_way, left = taken(engine, now_us, endpoint_leases)
    is_open = attempts.c.outcome.is_(None)
    with engine.connect() as connection:
        interrupted = set(connection.scalars(select(attempts.c.shard).where(is_open).distinct()))
    due = _waiting(engine) | dict.fromkeys(interrupted & left, now_us)
    return {shard: due_us for shard, due_us in due.items() if shard not in under_way}


def _first_due() -> ColumnElement[int]:
    """When an endpoint's next delivery is due: the oldest one, where it is ordered."""
    mine = select(deliveries.c.due_us).where(
        deliveries.c.subscription_id == subscriptions.c.subscription_id, is_pending
    )
    oldest = mine.order_by(deliveries.c.delivery_id).limit(1).correlate(subscriptions).scalar_subquery()
    soonest = mine.order_by(deliveries.c.due_us).limit(1).correlate(subscriptions).scalar_subquery()
    return case((subscriptions.c.is_ordered, oldest), else_=soonest)


def _waiting(engine: Engine) -> dict[int, int]:
    """Shard → when the first delivery to one of its active endpoints is due."""
    waiting = select(
        subscriptions.c.subscription_id, subscriptions.c.paused_until_us, _first_due().label("due_us")
    ).where(subscriptions.c.state == SubscriptionState.ACTIVE)
    due: dict[int, int] = {}
    with engine.connect() as connection:
        for subscription_id, paused_until_us, due_us in connection.execute(waiting).tuples():
            if due_us is not None:
                shard, at_us = endpoint_shard(subscription_id), max(due_us, paused_until_us)
                due[shard] = min(at_us, due.get(shard, at_us))
    return due


def next_due(engine: Engine, shards: Collection[int]) -> int | None:
    """When the next delivery to an active endpoint of these shards is due; None: none waits."""
    due = {shard: due_us for shard, due_us in _waiting(engine).items() if shard in shards}
    return min(due.values(), default=None)


def waited_for(engine: Engine, shards: Collection[int], now_us: int) -> list[Subscription]:
    """As `ready`, looked at without a transaction that writes."""
    with engine.connect() as connection:
        return ready(connection, shards, now_us)


# --- the statements of a turn


def still_ours(connection: Connection, held: Sequence[Lease]) -> set[int]:
    """The shards that no other sender has taken; nobody can before the transaction ends."""
    columns = endpoint_leases.c
    wanted = tuple_(columns.shard, columns.fence, columns.owner).in_(
        [(lease.shard, lease.fence, lease.owner) for lease in held]
    )
    ours = select(columns.shard).where(wanted).order_by(columns.shard).with_for_update()
    return set(connection.scalars(ours))


def interrupt(connection: Connection, shards: Collection[int], outcome: str, now_us: int) -> int:
    """End the attempts that a sender before us left open: their deliveries are due again as they were.

    Whether their requests arrived nobody knows; the next ones have the same webhook-id.
    """
    is_left = and_(attempts.c.outcome.is_(None), attempts.c.shard.in_(shards))
    left = set(connection.scalars(select(attempts.c.delivery_id).where(is_left)))
    if left:
        connection.execute(update(attempts).where(is_left).values(outcome=outcome))
        _wait_again(connection, left, now_us)
    return len(left)


def _wait_again(connection: Connection, delivery_ids: Collection[int], now_us: int, **values: Any) -> None:
    """What was being sent waits again, unless its endpoint is not sent to any more."""
    for some in batches(sorted(delivery_ids), PARAMETERS):
        mine = deliveries.c.delivery_id.in_(some)
        out = update(deliveries).where(mine, deliveries.c.state == DeliveryState.SENDING)
        connection.execute(out.values(state=DeliveryState.PENDING, **values))
        _give_up(connection, mine, now_us)


def _give_up(connection: Connection, which: ColumnElement[bool], now_us: int) -> None:
    """Of these, what waits for an endpoint that is not sent to any more is kept for a replay alone."""
    for state, reason in (
        (SubscriptionState.DISABLED, ENDPOINT_DISABLED),
        (SubscriptionState.ENDED, UNSUBSCRIBED),
    ):
        of = select(subscriptions.c.subscription_id).where(subscriptions.c.state == state)
        waits = update(deliveries).where(which, is_pending, deliveries.c.subscription_id.in_(of))
        connection.execute(waits.values(state=DeliveryState.DEAD, reason=reason, ended_us=now_us))


def ready(connection: Connection, shards: Collection[int], now_us: int) -> list[Subscription]:
    """The endpoints of these shards that something is due for and that are not paused, longest due first."""
    query = (
        select(subscriptions)
        .where(
            subscriptions.c.state == SubscriptionState.ACTIVE,
            subscriptions.c.paused_until_us <= now_us,
            _first_due() <= now_us,
        )
        .order_by(_first_due())
    )
    if len(shards) < ENDPOINT_SHARDS:
        query = query.where((subscriptions.c.subscription_id % ENDPOINT_SHARDS).in_(shards))
    return [subscription_of(row) for row in connection.execute(query).mappings()]


def begin(
    connection: Connection, owner: str, rooms: Iterable[tuple[Subscription, int]], now_us: int
) -> list[Attempt]:
    """Begin attempts of what is due, for each endpoint as many as it has room for; in order, where it is
    ordered: then nothing goes before the oldest, also where that one waits for a retry.
    """
    chosen = [
        (subscription, row)
        for subscription, room in rooms
        for row in _next_ones(connection, subscription, room, now_us)
    ]
    if not chosen:
        return []
    changes = _changes(connection, {number for _, row in chosen for number in row.outbox_ids})
    begun = [
        Attempt(
            delivery_id=row.delivery_id,
            number=row.attempts + 1,
            message_id=row.message_id,
            subscription=subscription,
            failures=row.failures,
            begun_us=now_us,
            changes=tuple(changes[number] for number in row.outbox_ids if number in changes),
            notice=row.notice,
        )
        for subscription, row in chosen
    ]
    connection.execute(
        update(deliveries)
        .where(deliveries.c.delivery_id == bindparam("of"))
        .values(state=DeliveryState.SENDING, attempts=bindparam("begun")),
        [{"of": attempt.delivery_id, "begun": attempt.number} for attempt in begun],
    )
    connection.execute(
        insert(attempts),
        [
            {
                "delivery_id": attempt.delivery_id,
                "number": attempt.number,
                "shard": attempt.subscription.shard,
                "owner": owner,
                "started_us": now_us,
            }
            for attempt in begun
        ],
    )
    return begun


def _next_ones(
    connection: Connection, subscription: Subscription, room: int, now_us: int
) -> Sequence[Row[Any]]:
    """Locked, so that nobody adds to them or gives them up meanwhile; what others have locked is left to the
    next turn.
    """
    mine = (deliveries.c.subscription_id == subscription.subscription_id, is_pending)
    if not subscription.is_ordered:
        first = select(deliveries).where(*mine, deliveries.c.due_us <= now_us)
        order = (deliveries.c.due_us, deliveries.c.delivery_id)
        return connection.execute(first.order_by(*order).limit(room).with_for_update(skip_locked=True)).all()
    oldest = select(deliveries.c.delivery_id).where(*mine).order_by(deliveries.c.delivery_id).limit(room)
    ids = list(connection.scalars(oldest))
    locked = select(deliveries).where(deliveries.c.delivery_id.in_(ids), is_pending)
    found = connection.execute(
        locked.order_by(deliveries.c.delivery_id).with_for_update(skip_locked=True)
    ).all()
    is_next = (row.delivery_id == key and row.due_us <= now_us for row, key in zip(found, ids, strict=False))
    return [row for row, _ in takewhile(itemgetter(1), zip(found, is_next, strict=False))]


def _changes(connection: Connection, outbox_ids: Collection[int]) -> dict[int, Change]:
    found = {}
    for some in batches(sorted(outbox_ids), PARAMETERS):
        for row in connection.execute(select(outbox).where(outbox.c.outbox_id.in_(some))):
            found[row.outbox_id] = Change(
                row.podcast_key, row.sequence, row.change, row.detected_us, row.data
            )
    return found


def interrupt_all_but(
    connection: Connection, owner: str, known: Collection[tuple[int, int]], outcome: str, now_us: int
) -> None:
    """End the attempts that are open and ours and that we do not know of: begun by a transaction that seemed
    to fail."""
    unknown = open_of(connection, owner) - set(known)
    for delivery_id, number in unknown:
        which = and_(attempts.c.delivery_id == delivery_id, attempts.c.number == number)
        connection.execute(update(attempts).where(which).values(outcome=outcome))
    _wait_again(connection, {delivery_id for delivery_id, _ in unknown}, now_us)


def open_of(connection: Connection, owner: str) -> set[tuple[int, int]]:
    """(delivery_id, number) of the attempts that are open and ours."""
    mine = select(attempts.c.delivery_id, attempts.c.number).where(
        attempts.c.outcome.is_(None), attempts.c.owner == owner
    )
    return set(connection.execute(mine).tuples())


def inactive(connection: Connection, subscription_ids: Collection[int]) -> set[int]:
    """Those of them that are not sent to any more."""
    found: set[int] = set()
    for some in batches(sorted(subscription_ids), PARAMETERS):
        which = (subscriptions.c.subscription_id.in_(some), subscriptions.c.state != SubscriptionState.ACTIVE)
        found |= set(connection.scalars(select(subscriptions.c.subscription_id).where(*which)))
    return found


def end(connection: Connection, ended: Sequence[Ended], now_us: int) -> None:
    """Write down how attempts that are open and ours ended."""
    if not ended:
        return
    connection.execute(
        update(attempts)
        .where(attempts.c.delivery_id == bindparam("of"), attempts.c.number == bindparam("nth"))
        .values({name: bindparam(name) for name in ("outcome", "ms", "status", "detail", "answer")}),
        [
            {
                "of": each.attempt.delivery_id,
                "nth": each.attempt.number,
                "outcome": each.outcome,
                "ms": each.ms,
                "status": each.status,
                "detail": each.detail,
                "answer": each.answer,
            }
            for each in ended
        ],
    )
    connection.execute(
        update(deliveries)
        .where(deliveries.c.delivery_id == bindparam("of"))
        .values(
            {name: bindparam(f"new_{name}") for name in ("state", "reason", "due_us", "failures", "ended_us")}
        ),
        [
            {
                "of": each.attempt.delivery_id,
                "new_state": each.state,
                "new_reason": each.reason,
                "new_due_us": each.due_us,
                "new_failures": each.attempt.failures + (each.state is not DeliveryState.SENT),
                "new_ended_us": None if each.state is DeliveryState.PENDING else now_us,
            }
            for each in ended
        ],
    )


def give_back(connection: Connection, unsent: Sequence[Attempt], now_us: int) -> None:
    """Attempts that are open and ours and were not made after all: as if never begun."""
    if not unsent:
        return
    connection.execute(
        delete(attempts).where(
            attempts.c.delivery_id == bindparam("of"), attempts.c.number == bindparam("nth")
        ),
        [{"of": attempt.delivery_id, "nth": attempt.number} for attempt in unsent],
    )
    one_less = deliveries.c.attempts - 1
    _wait_again(connection, {attempt.delivery_id for attempt in unsent}, now_us, attempts=one_less)


def disable(connection: Connection, subscription_id: int, reason: str, now_us: int) -> bool:
    """Send nothing to an endpoint any more: what waits for it is given up, to be replayed. False: it was
    not active."""
    now = (
        update(subscriptions)
        .where(
            subscriptions.c.subscription_id == subscription_id,
            subscriptions.c.state == SubscriptionState.ACTIVE,
        )
        .values(state=SubscriptionState.DISABLED, reason=reason, state_us=now_us)
    )
    if not connection.execute(now).rowcount:
        return False
    give_up(connection, subscription_id, now_us)
    return True


def give_up(connection: Connection, subscription_id: int, now_us: int) -> None:
    """What waits for an endpoint that is not active is kept for a replay alone."""
    _give_up(connection, deliveries.c.subscription_id == subscription_id, now_us)


def notify(connection: Connection, tenant: str, but_url: str, notice: Any, now_us: int) -> int:
    """A notice of ours to the active endpoints of a tenant, whatever their filters: once to each URL but one;
    how many."""
    columns = subscriptions.c
    told = (
        select(func.min(columns.subscription_id))
        .where(columns.tenant == tenant, columns.state == SubscriptionState.ACTIVE, columns.url != but_url)
        .group_by(columns.url)
    )
    rows = [
        {
            "message_id": f"ntc_{uuid4().hex}",
            "subscription_id": subscription_id,
            "shard": endpoint_shard(subscription_id),
            "outbox_ids": [],
            "notice": notice,
            "size": 0,
            "state": DeliveryState.PENDING,
            "created_us": now_us,
            "due_us": now_us,
            "attempts": 0,
            "failures": 0,
            "replays": 0,
        }
        for subscription_id in connection.scalars(told)
    ]
    if rows:
        connection.execute(insert(deliveries), rows)
    return len(rows)
