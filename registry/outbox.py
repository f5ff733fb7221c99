"""The outbox: changes of the lake and the deliveries of them, put there in one transaction (UPDATES §5)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, func, insert, select, update

from ingest.feeds.schema import ChangeType
from ingest.feeds.state import next_due_of
from registry import shards, subscriptions
from registry.batches import PARAMETERS, ROWS, batches
from registry.change_data import ChangeData
from registry.composing import Composer, Event, Listener, Message
from registry.database import alone, insert_into, writing
from registry.subscribing import Mode
from registry.subscriptions import endpoint_shard
from registry.tables import DeliveryState, deliveries, outbox
from registry.telling import Heard, Place, data_of, heard_of

__all__ = ["ChangeData", "hand_over"]


def hand_over(engine: Engine, lake_root: Path, shard: int, now_us: int) -> int:
    """Put what the lake's shard tells newly into the outbox, with its deliveries; how many changes.

    May be repeated, and done by two at once: a change is handed over once. Call it while nobody writes the
    lake's shard. Raises OSError and polars errors where it cannot be read.
    """
    generation = next_due_of(lake_root, shard)[0]
    handed = shards.seen_of(engine, shard).handed
    if generation == handed:
        return 0
    heard = heard_of(engine, lake_root, shard, handed, generation, now_us)
    data = data_of(engine, lake_root, shard, heard)
    with writing(engine) as connection:
        alone(connection, "handing over")  # two open batches of a subscription would be one too many
        if not shards.handed_over(connection, shard, handed, generation):
            return 0  # another was quicker, or nothing of the shard was ever registered
        outbox_ids = _added(connection, heard, data)
        told = [
            (Event(outbox_ids[one.place], *one.place, one.change, said), one.listeners)
            for one, said in zip(heard, data, strict=True)
            if one.place in outbox_ids
        ]
        if told:
            _deliver(connection, told, now_us)
    return len(told)


def _added(connection: Connection, heard: Sequence[Heard], data: Sequence[ChangeData]) -> dict[Place, int]:
    """The outbox_ids of those changes that were not in the outbox."""
    rows = [
        {
            "podcast_key": one.row["podcast_key"],
            "sequence": one.row["sequence"],
            "change": one.change,
            "detected_us": one.row["detected_us"],
            "data": said,
        }
        for one, said in zip(heard, data, strict=True)
    ]
    if not rows:
        return {}
    adding = (
        insert_into(connection, outbox)
        .on_conflict_do_nothing()
        .returning(outbox.c.outbox_id, outbox.c.podcast_key, outbox.c.sequence, outbox.c.detected_us)
    )
    return {(key, sequence, at): given for given, key, sequence, at in connection.execute(adding, rows)}


def _deliver(connection: Connection, told: Sequence[tuple[Event, list[Listener]]], now_us: int) -> None:
    # As they are now: since they were read one may have ended, or been disabled.
    now = {one.subscription_id: Listener(one) for one in subscriptions.read(connection)}
    told = [(event, [now[one.id] for one in listeners if one.id in now]) for event, listeners in told]
    listeners = {one.id: one for _, some in told for one in some}
    composer = Composer(now_us, _waiting(connection, listeners.values(), told, now_us))
    for event, some in told:
        for listener in some:
            composer.add(listener, event)
    _write(connection, composer, now_us)


def _waiting(
    connection: Connection,
    listeners: Collection[Listener],
    told: Sequence[tuple[Event, list[Listener]]],
    now_us: int,
) -> list[Message]:
    """The newest batch of each scheduled subscription, the newest message of each coalescing one and podcast:
    of those that wait.
    """
    scheduled = [one.id for one in listeners if one.subscription.mode is Mode.SCHEDULED]
    coalescing = {one.id for one in listeners if one.subscription.coalesce_s}
    keys = {event.podcast_key for event, some in told if any(one.id in coalescing for one in some)}
    waits = (deliveries.c.state == DeliveryState.PENDING, deliveries.c.due_us > now_us)
    newest = select(func.max(deliveries.c.delivery_id)).where(*waits)
    ids: list[int] = []
    for some in batches(scheduled, PARAMETERS):
        is_batch = (deliveries.c.podcast_key.is_(None), deliveries.c.notice.is_(None))
        query = newest.where(deliveries.c.subscription_id.in_(some), *is_batch)
        ids += connection.scalars(query.group_by(deliveries.c.subscription_id))
    for subscription_id in sorted(coalescing):
        for some in batches(sorted(keys), PARAMETERS):
            query = newest.where(
                deliveries.c.subscription_id == subscription_id, deliveries.c.podcast_key.in_(some)
            )
            ids += connection.scalars(query.group_by(deliveries.c.podcast_key))
    return [message for some in batches(sorted(ids), PARAMETERS) for message in _read(connection, some)]


def _read(connection: Connection, delivery_ids: Sequence[int]) -> list[Message]:
    """Those that still wait; no sender takes them before the transaction ends."""
    columns = deliveries.c
    query = select(deliveries).where(
        columns.delivery_id.in_(delivery_ids), columns.state == DeliveryState.PENDING
    )
    rows = connection.execute(query.order_by(columns.delivery_id).with_for_update()).mappings().all()
    wanted = [given for row in rows if row["podcast_key"] is not None for given in row["outbox_ids"]]
    events = {event.outbox_id: event for event in _events(connection, wanted)}
    found = []
    for row in rows:
        message = Message(
            subscription_id=row["subscription_id"],
            message_id=row["message_id"],
            podcast_key=row["podcast_key"],
            outbox_ids=list(row["outbox_ids"]),
            size=row["size"],
            due_us=row["due_us"],
            delivery_id=row["delivery_id"],
            is_open=row["attempts"] == 0 and row["replays"] == 0,
        )
        if message.podcast_key is not None:
            message.events = [events[given] for given in message.outbox_ids if given in events]
            message.is_open = message.is_open and len(message.events) == len(message.outbox_ids)
        found.append(message)
    return found


def _events(connection: Connection, outbox_ids: Sequence[int]) -> Iterator[Event]:
    columns = (outbox.c.outbox_id, outbox.c.podcast_key, outbox.c.sequence, outbox.c.detected_us)
    query = select(*columns, outbox.c.change, outbox.c.data)
    for some in batches(outbox_ids, PARAMETERS):
        for row in connection.execute(query.where(outbox.c.outbox_id.in_(some))):
            yield Event(row[0], row[1], row[2], row[3], ChangeType(row.change), row.data)


def _write(connection: Connection, composer: Composer, now_us: int) -> None:
    for some in batches(composer.new, ROWS):
        connection.execute(insert(deliveries), [_row(message, now_us) for message in some])
    changed = [
        {"id": message.delivery_id, **{name: getattr(message, name) for name in _FILLED}}
        for message in composer.changed
    ]
    if changed:
        connection.execute(update(deliveries).where(deliveries.c.delivery_id == bindparam("id")), changed)


def _row(message: Message, now_us: int) -> dict[str, Any]:
    return {
        "message_id": message.message_id,
        "subscription_id": message.subscription_id,
        "shard": endpoint_shard(message.subscription_id),
        "podcast_key": message.podcast_key,
        "created_us": now_us,
        "due_us": message.due_us,
        "attempts": 0,
        "failures": 0,
        "replays": 0,
        **{name: getattr(message, name) for name in _FILLED},
    }


_FILLED = ("outbox_ids", "size", "state", "reason", "ended_us")  # what changes when a message takes more in
