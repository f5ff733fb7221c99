"""The log of webhooks: what endpoints were sent and how that went; and having it sent again.

A *delivery* is a message to one endpoint, an *attempt* one request of it. The log keeps `webhook_keep_days`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    Select,
    and_,
    func,
    or_,
    select,
    true,
    update,
)

from registry.audit_log import Note
from registry.batches import PARAMETERS, batches
from registry.database import writing
from registry.tables import (
    DeliveryState,
    SubscriptionState,
    attempts,
    endpoint_leases,
    is_dead,
    is_pending,
    outbox,
    subscriptions,
)
from registry.tables import deliveries as messages

BATCH = "changes.batch"  # the type of a message of several changes

# Not the column itself: SQLite would read all rows in the order of its index, five times as slow.
_AT = (messages.c.subscription_id + 0).label("at")
_WAITING = (DeliveryState.PENDING, DeliveryState.SENDING)
_REPLAYABLE = (DeliveryState.SENT, DeliveryState.DEAD)  # a void one has nothing to tell


@dataclass(frozen=True)
class LoggedDelivery:
    """A message to an endpoint, as the log shows it."""

    delivery_id: int
    message_id: str
    subscription_id: int
    type: str  # of its first change; BATCH; or of our notice
    podcast_key: int | None  # of its first change; None: a batch or a notice
    sequence: int | None  # the same
    changes: int  # that it tells of; 0: a notice
    state: DeliveryState
    reason: str | None  # of the last failure, or why it is dead or void
    created_us: int
    due_us: int
    attempts: int
    failures: int
    ended_us: int | None
    replays: int


@dataclass(frozen=True)
class LoggedAttempt:
    """One request."""

    delivery_id: int
    number: int  # from 1
    owner: str  # the sender
    started_us: int
    outcome: str | None  # serving.webhooks.outcomes.Outcome; None: open
    ms: int | None
    status: int | None
    detail: str | None
    answer: str | None


@dataclass(frozen=True)
class EndpointSummary:
    """How one endpoint fares. Deliveries in the log, each counted once."""

    subscription_id: int
    tenant: str
    url: str
    state: SubscriptionState
    reason: str | None
    state_us: int
    waiting: int  # all that is still to be sent, and what is being sent
    due: int  # … of it, what could go out now, and nobody is at it
    oldest_due_us: int | None  # since when the oldest of those could
    next_due_us: int | None  # when the first of what waits can go out, be it overdue
    failed: int  # … of what waits: tried before, and tried again
    sent: int  # ever, also what the log has forgotten
    dead: int  # given up, kept for replay
    failures: int  # attempts in a row
    failing_since_us: int | None
    succeeded_us: int | None
    paused_until_us: int


@dataclass(frozen=True)
class Outcomes:
    """Attempts with one outcome and HTTP status."""

    outcome: str | None  # None: open
    status: int | None
    attempts: int
    last_us: int
    detail: str | None  # of the last one


@dataclass(frozen=True)
class Replayable:
    """What a replay would do with the deliveries meant."""

    queued: int  # sent or dead: sent once more
    waiting: int  # to be sent anyway: left alone
    void: int  # nothing to tell
    inactive: dict[int, int]  # sent or dead, but their endpoint is not active: subscription → deliveries


def deliveries(
    engine: Engine,
    *,
    subscription_id: int | None = None,
    states: Collection[DeliveryState] = (),
    since_us: int | None = None,
    until_us: int | None = None,
    message_id: str | None = None,
    limit: int | None = 50,
    before: tuple[int, int] | None = None,
) -> list[LoggedDelivery]:
    """Those created in [since, until), the newest first; no state: all; limit None: all.

    before: (created_us, delivery_id) of the last one of the page before.
    """
    which = [_created(subscription_id, since_us, until_us)]
    if before is not None:
        at_us, last = before
        is_older = and_(messages.c.created_us == at_us, messages.c.delivery_id < last)
        which.append(or_(messages.c.created_us < at_us, is_older))
    if states:
        which.append(messages.c.state.in_(list(states)))
    if message_id is not None:
        which.append(_named([message_id], subscription_id))
    query = (
        select(messages, func.json_array_length(messages.c.outbox_ids).label("changes"))
        .where(*which)
        .limit(limit)
    )
    # Ids grow with time. With an endpoint its index gives the order.
    newest = messages.c.delivery_id if subscription_id is None else messages.c.created_us
    query = query.order_by(newest.desc(), messages.c.delivery_id.desc())
    with engine.connect() as connection:
        rows = connection.execute(query).mappings().all()
        first = _first_changes(connection, rows)
    return [_logged(row, first.get(row["delivery_id"])) for row in rows]


def _first_changes(connection: Connection, rows: Sequence[RowMapping]) -> dict[int, RowMapping]:
    """delivery_id → the first of its changes, of those that tell of one podcast."""
    wanted = {
        row["delivery_id"]: row["outbox_ids"][0]
        for row in rows
        if row["podcast_key"] is not None and row["outbox_ids"]
    }
    known: dict[int, RowMapping] = {}
    query = select(outbox.c.outbox_id, outbox.c.change, outbox.c.sequence)
    for some in batches(set(wanted.values()), PARAMETERS):
        found = connection.execute(query.where(outbox.c.outbox_id.in_(some))).mappings()
        known.update((row["outbox_id"], row) for row in found)
    return {delivery: known[first] for delivery, first in wanted.items() if first in known}


def _logged(row: RowMapping, first: RowMapping | None) -> LoggedDelivery:
    values: dict[str, Any] = {name: row[name] for name in LoggedDelivery.__dataclass_fields__ if name in row}
    kind = row["notice"]["type"] if row["notice"] else first["change"] if first else BATCH
    values |= {"type": kind, "sequence": first["sequence"] if first else None}
    return LoggedDelivery(**values | {"state": DeliveryState(row["state"])})


def attempts_of(engine: Engine, delivery_ids: Collection[int]) -> dict[int, list[LoggedAttempt]]:
    """delivery_id → its attempts in order; a delivery without any is left out."""
    columns = [attempts.c[name] for name in LoggedAttempt.__dataclass_fields__]
    query = select(*columns).order_by(attempts.c.delivery_id, attempts.c.number)
    found: dict[int, list[LoggedAttempt]] = {}
    with engine.connect() as connection:
        for some in batches(delivery_ids, PARAMETERS):
            for row in connection.execute(query.where(attempts.c.delivery_id.in_(some))).mappings():
                found.setdefault(row["delivery_id"], []).append(LoggedAttempt(**row))
    return found


def outcomes(engine: Engine, subscription_id: int, since_us: int = 0) -> list[Outcomes]:
    """How the endpoint's attempts begun since then ended, the most recent kind first."""
    of_endpoint = and_(
        messages.c.delivery_id == attempts.c.delivery_id,
        messages.c.subscription_id == subscription_id,
        # What ended before had no attempt since: spares reading those.
        or_(messages.c.ended_us.is_(None), messages.c.ended_us >= since_us),
        attempts.c.started_us >= since_us,
    )
    kind = (attempts.c.outcome, attempts.c.status)
    ranked = (
        select(
            *kind,
            attempts.c.detail,
            attempts.c.started_us.label("last_us"),
            func.count().over(partition_by=kind).label("attempts"),
            func.row_number()
            .over(partition_by=kind, order_by=(attempts.c.started_us.desc(), attempts.c.delivery_id.desc()))
            .label("place"),
        )
        .where(of_endpoint)
        .subquery()
    )
    columns = [ranked.c[name] for name in Outcomes.__dataclass_fields__]
    with engine.connect() as connection:
        rows = connection.execute(
            select(*columns).where(ranked.c.place == 1).order_by(ranked.c.last_us.desc())
        ).mappings()
        return [Outcomes(**row) for row in rows]


def made(engine: Engine, subscription_id: int, since_us: int = 0) -> tuple[int, int]:
    """How many messages were made for the endpoint since then, and of how many changes they tell."""
    counts = select(func.count(), func.sum(func.json_array_length(messages.c.outbox_ids))).where(
        _created(subscription_id, since_us, None), messages.c.notice.is_(None)
    )
    with engine.connect() as connection:
        number, changes = connection.execute(counts).one()
    return number, int(changes or 0)


def summary(
    engine: Engine,
    now_us: int,
    *,
    tenant: str | None = None,
    subscription_id: int | None = None,
    with_ended: bool = False,
) -> list[EndpointSummary]:
    """How each endpoint fares, by subscription_id. Its cost is that of what waits and what is dead."""
    which: list[ColumnElement[bool]] = []
    if tenant is not None:
        which.append(subscriptions.c.tenant == tenant)
    if subscription_id is not None:
        which.append(subscriptions.c.subscription_id == subscription_id)
    if not with_ended:
        which.append(subscriptions.c.state != SubscriptionState.ENDED)
    fields = EndpointSummary.__dataclass_fields__
    columns = [column for column in subscriptions.c if column.name in fields]
    listed = select(*columns).where(*which).order_by(subscriptions.c.subscription_id)
    counts: dict[int, dict[str, Any]] = {}
    with engine.connect() as connection:
        rows = connection.execute(listed).mappings().all()
        for query in _counts(now_us):
            if subscription_id is not None:
                query = query.where(messages.c.subscription_id == subscription_id)
            for found in connection.execute(query).mappings():
                so_far = counts.setdefault(found["subscription_id"], dict.fromkeys(_COUNTED, 0))
                for name, value in found.items():
                    if name != "subscription_id":
                        so_far[name] = so_far.get(name, 0) + value if name in _COUNTED else value
        heads = dict(connection.execute(_heads()).tuples().all())
    return [_summary(row, counts.get(row["subscription_id"], {}), heads, now_us) for row in rows]


def _summary(row: RowMapping, counts: dict[str, Any], heads: dict[int, int], now_us: int) -> EndpointSummary:
    """What waits can go out unless its endpoint is paused, disabled, or waits for its oldest message."""
    said = dict.fromkeys(_COUNTED, 0) | dict.fromkeys(_TIMES) | counts
    values = {name: row[name] for name in EndpointSummary.__dataclass_fields__ if name in row}
    from_us = max(row["paused_until_us"], heads.get(row["subscription_id"], 0))
    if row["state"] != SubscriptionState.ACTIVE:
        said |= {"due": 0, "oldest_due_us": None, "next_due_us": None}
    elif said["next_due_us"] is not None:
        said["next_due_us"] = max(said["next_due_us"], from_us)
        if from_us > now_us:
            said |= {"due": 0, "oldest_due_us": None}
        elif said["oldest_due_us"] is not None:
            said["oldest_due_us"] = max(said["oldest_due_us"], from_us)
    return EndpointSummary(**values | said | {"state": SubscriptionState(row["state"])})


def _heads() -> Select[tuple[int, int]]:
    """(subscription_id, when its oldest message is due) of the ordered endpoints something waits for."""
    oldest = (
        select(func.min(messages.c.delivery_id))
        .join(subscriptions, subscriptions.c.subscription_id == messages.c.subscription_id)
        .where(is_pending, subscriptions.c.is_ordered)
        .group_by(messages.c.subscription_id)
    )
    return select(messages.c.subscription_id, messages.c.due_us).where(messages.c.delivery_id.in_(oldest))


_COUNTED, _TIMES = ("waiting", "due", "failed", "dead"), ("oldest_due_us", "next_due_us")


def _counts(now_us: int) -> tuple[Select[Any], Select[Any], Select[Any]]:
    """Of what waits, what is being sent, what is dead: each by a small index, however long the log."""
    at, due_us = messages.c.subscription_id, messages.c.due_us
    has_failed = func.count().filter(messages.c.failures > 0)
    waits = select(
        at,
        func.count().label("waiting"),
        func.count().filter(due_us <= now_us).label("due"),
        func.min(due_us).filter(due_us <= now_us).label("oldest_due_us"),
        func.min(due_us).label("next_due_us"),
        has_failed.label("failed"),
    ).where(is_pending)
    out = (
        select(at, func.count().label("waiting"), has_failed.label("failed"))
        .join(attempts, attempts.c.delivery_id == messages.c.delivery_id)
        .where(attempts.c.outcome.is_(None))
    )
    dead = select(at, func.count().label("dead")).where(is_dead)
    return waits.group_by(at), out.group_by(at), dead.group_by(at)


def senders(engine: Engine, now_us: int) -> dict[int, str]:
    """Endpoint shard → the sender that is at it."""
    held = select(endpoint_leases.c.shard, endpoint_leases.c.owner).where(
        endpoint_leases.c.owner.is_not(None), endpoint_leases.c.expires_us > now_us
    )
    with engine.connect() as connection:
        return dict(connection.execute(held).tuples().all())


def replayable(
    engine: Engine,
    *,
    message_ids: Collection[str] = (),
    subscription_id: int | None = None,
    from_us: int | None = None,
    to_us: int | None = None,
    failed_since_us: int | None = None,
) -> Replayable:
    """What `replay` of the same would do."""
    which = _meant(message_ids, subscription_id, from_us, to_us, failed_since_us)
    query = select(_AT, messages.c.state, func.count()).where(which).group_by(_AT, messages.c.state)
    active = select(subscriptions.c.subscription_id).where(subscriptions.c.state == SubscriptionState.ACTIVE)
    queued = waiting = void = 0
    inactive: dict[int, int] = {}
    with engine.connect() as connection:
        known = set(connection.scalars(active))
        for at, state, number in connection.execute(query).tuples():
            if state in _WAITING:
                waiting += number
            elif state == DeliveryState.VOID:
                void += number
            elif at not in known:
                inactive[at] = inactive.get(at, 0) + number
            else:
                queued += number
    return Replayable(queued, waiting, void, inactive)


def replay(
    engine: Engine,
    *,
    message_ids: Collection[str] = (),
    subscription_id: int | None = None,
    from_us: int | None = None,
    to_us: int | None = None,
    failed_since_us: int | None = None,
    now_us: int,
    note: Note | None = None,
) -> int:
    """Has each message meant sent once more, with its first id; how many those are.

    Meant are, all conditions together: these messages; of this endpoint; created in [from, to); dead since
    `failed_since_us`. At least one condition must be given (else ValueError). What waits to be sent is left
    alone, and what belongs to an endpoint that is not active.
    """
    which = _meant(message_ids, subscription_id, from_us, to_us, failed_since_us)
    active = select(subscriptions.c.subscription_id).where(subscriptions.c.state == SubscriptionState.ACTIVE)
    again = (
        update(messages)
        .where(which, messages.c.state.in_(_REPLAYABLE), messages.c.subscription_id.in_(active))
        .values(
            state=DeliveryState.PENDING,
            reason=None,
            failures=0,
            due_us=now_us,
            replays=messages.c.replays + 1,
            ended_us=None,
        )
    )
    with writing(engine) as connection:
        queued = connection.execute(again).rowcount
        if note:
            note(connection, queued)
        return queued


def _meant(
    message_ids: Collection[str],
    subscription_id: int | None,
    from_us: int | None,
    to_us: int | None,
    failed_since_us: int | None,
) -> ColumnElement[bool]:
    if not message_ids and subscription_id is None and failed_since_us is None:
        raise ValueError("a replay needs messages, an endpoint, or since when they failed")
    which = [_created(subscription_id, from_us, to_us)]
    if message_ids:
        which.append(_named(message_ids, subscription_id))
    if failed_since_us is not None:
        which += [is_dead, messages.c.ended_us >= failed_since_us]
    return and_(*which)


def _created(subscription_id: int | None, from_us: int | None, to_us: int | None) -> ColumnElement[bool]:
    which: list[ColumnElement[bool]] = [true()]
    if subscription_id is not None:
        which.append(messages.c.subscription_id == subscription_id)
    if from_us is not None:
        which.append(messages.c.created_us >= from_us)
    if to_us is not None:
        which.append(messages.c.created_us < to_us)
    return and_(*which)


def _named(message_ids: Collection[str], subscription_id: int | None) -> ColumnElement[bool]:
    named = messages.c.message_id.in_(list(message_ids))
    if subscription_id is not None:
        return named
    # The index begins with the endpoint: one look-up an endpoint instead of a pass over the log.
    return and_(named, messages.c.subscription_id.in_(select(subscriptions.c.subscription_id)))
