"""Rows of endpoints, their messages and attempts, written straight into the tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine, insert

from registry import tables
from registry.database import writing
from registry.tables import DeliveryState, SubscriptionState

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"  # 24 bytes


def endpoint(engine: Engine, **given: Any) -> int:
    """A subscription to everything of the tenant `default`; its id."""
    values: dict[str, Any] = {
        "tenant": "default",
        "url": "https://example.com/hook",
        "secret": SECRET,
        "types": [],
        "podcasts": {},
        "fields": [],
        "mode": "immediate",
        "time_zone": "UTC",
        "batch_size": 100,
        "coalesce_s": 0,
        "is_ordered": False,
        "state": SubscriptionState.ACTIVE,
        "state_us": 0,
        "created_us": 0,
        "failures": 0,
        "paused_until_us": 0,
    }
    return _added(engine, tables.subscriptions, values | given)


def change(engine: Engine, podcast_key: int, sequence: int, **given: Any) -> int:
    """A row of the outbox; its id."""
    at = {"podcast_key": podcast_key, "sequence": sequence}
    values: dict[str, Any] = {"change": "episode.created", "detected_us": 0, "data": {}}
    return _added(engine, tables.outbox, at | values | given)


def delivery(
    engine: Engine, subscription_id: int, message_id: str, outbox_ids: Sequence[int] = (), **given: Any
) -> int:
    """A message of these changes; its id. By default of one podcast, and sent at once."""
    values: dict[str, Any] = {
        "message_id": message_id,
        "subscription_id": subscription_id,
        "shard": subscription_id % 16,
        "outbox_ids": list(outbox_ids),
        "podcast_key": 7,
        "size": 100,
        "state": DeliveryState.SENT,
        "created_us": 0,
        "due_us": 0,
        "attempts": 1,
        "failures": 0,
        "replays": 0,
    }
    if given.get("state", DeliveryState.SENT) not in (DeliveryState.PENDING, DeliveryState.SENDING):
        values["ended_us"] = given.get("created_us", 0)
    return _added(engine, tables.deliveries, values | given)


def attempt(engine: Engine, delivery_id: int, number: int = 1, **given: Any) -> None:
    """A request that was answered 200, unless told otherwise."""
    values: dict[str, Any] = {
        "delivery_id": delivery_id,
        "number": number,
        "shard": 0,
        "owner": "sender",
        "started_us": 0,
        "outcome": "sent",
        "ms": 12,
        "status": 200,
    }
    with writing(engine) as connection:
        connection.execute(insert(tables.attempts).values(values | given))


def _added(engine: Engine, table: Any, values: dict[str, Any]) -> int:
    with writing(engine) as connection:
        (key,) = connection.execute(insert(table).values(values)).inserted_primary_key or (0,)
    return int(key)
