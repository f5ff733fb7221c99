"""Which WebSub hubs were asked to tell us of which feeds, and what they made of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, Row, delete, select, update

from ingest.feeds.sources import websub
from ingest.schema import DAY_US
from registry.batches import PARAMETERS, batches
from registry.database import insert_into, writing
from registry.tables import HubState, PodcastState, hub_subscriptions, podcasts

_HOUR_US = 3_600_000_000
UNCONFIRMED_US = _HOUR_US  # a hub that took our wish and never came is asked again after so long
DENIED_US = 7 * DAY_US  # one that denied it, too
_MOST_WAIT_US = DAY_US  # one that fails: an hour, doubled each time, up to this
_MOST_REASON = 300


@dataclass(frozen=True)
class Hub:
    """Where a podcast's feed says that its changes are told."""

    hub: str  # normalised
    topic: str


@dataclass(frozen=True)
class HubSubscription:
    """A row of `hub_subscriptions`."""

    podcast_key: int
    hub: str
    topic: str
    state: HubState
    reason: str | None
    asked_us: int
    failures: int
    confirmed_us: int | None
    lease_s: int | None
    next_us: int


def find(engine: Engine, podcast_key: int) -> HubSubscription | None:
    """What was asked for a podcast."""
    with engine.connect() as connection:
        return _one(connection, podcast_key)


def every(engine: Engine) -> list[HubSubscription]:
    """All, by key."""
    query = select(hub_subscriptions).order_by(hub_subscriptions.c.podcast_key)
    with engine.connect() as connection:
        return [_read(row) for row in connection.execute(query)]


def polled(engine: Engine) -> set[int]:
    """The podcasts that hubs may tell of: those that are polled."""
    with engine.connect() as connection:
        query = select(podcasts.c.podcast_key).where(podcasts.c.state == PodcastState.ACTIVE)
        return set(connection.scalars(query))


def begin(engine: Engine, wanted: Mapping[int, Hub], now_us: int) -> None:
    """They are about to be asked: a hub may visit the callback before its answer is here.

    One that goes on under the same topic stays active meanwhile: renewing costs no notice.
    """
    table = hub_subscriptions
    with writing(engine) as connection:
        for key, hub in sorted(wanted.items()):
            known = _one(connection, key)
            goes_on = known is not None and (known.topic, known.hub) == (hub.topic, hub.hub)
            row: dict[str, object] = {
                "hub": hub.hub,
                "topic": hub.topic,
                "asked_us": now_us,
                "next_us": now_us + UNCONFIRMED_US,
            }
            if known is None:
                row |= {"podcast_key": key, "state": HubState.ASKED, "failures": 0}
                connection.execute(insert_into(connection, table).values(row).on_conflict_do_nothing())
                continue
            if not goes_on or known.state is not HubState.ACTIVE:
                row |= {"state": HubState.ASKED, "reason": None}
            if not goes_on:
                row |= {"failures": 0, "confirmed_us": None, "lease_s": None}
            connection.execute(update(table).where(table.c.podcast_key == key).values(row))


def confirm(engine: Engine, podcast_key: int, topic: str, at_us: int, lease_s: int) -> None:
    """The hub has agreed."""
    values = {
        "state": HubState.ACTIVE,
        "reason": None,
        "failures": 0,
        "confirmed_us": at_us,
        "lease_s": lease_s,
        "next_us": websub.renew_at_us(at_us, lease_s),
    }
    _change(engine, podcast_key, topic, values)


def deny(engine: Engine, podcast_key: int, topic: str, at_us: int, reason: str) -> None:
    """The hub will not, or no longer."""
    values = {"state": HubState.DENIED, "reason": reason[:_MOST_REASON] or None, "next_us": at_us + DENIED_US}
    _change(engine, podcast_key, topic, values)


def fail(engine: Engine, podcast_key: int, topic: str, at_us: int, reason: str, until_us: int | None) -> None:
    """It could not be asked: again after an hour, doubled each time, or `until_us` where that is later."""
    known = find(engine, podcast_key)
    failures = 1 if known is None else known.failures + 1
    wait_us = min(_HOUR_US * 2 ** min(failures - 1, 10), _MOST_WAIT_US)
    values: dict[str, object] = {
        "reason": reason[:_MOST_REASON],
        "failures": failures,
        "next_us": max(at_us + wait_us, until_us or 0),
    }
    if known is None or known.state is not HubState.ACTIVE:  # what was agreed before holds until it ends
        values["state"] = HubState.FAILED
    _change(engine, podcast_key, topic, values)


def forget(engine: Engine, podcast_keys: Collection[int]) -> None:
    """They are no longer wanted: the hub's next visit is told so."""
    with writing(engine) as connection:
        for some in batches(sorted(podcast_keys), PARAMETERS):
            connection.execute(delete(hub_subscriptions).where(hub_subscriptions.c.podcast_key.in_(some)))


def _change(engine: Engine, podcast_key: int, topic: str, values: Mapping[str, object]) -> None:
    """Unless another topic is wanted by now."""
    table = hub_subscriptions.c
    with writing(engine) as connection:
        connection.execute(
            update(hub_subscriptions)
            .where(table.podcast_key == podcast_key, table.topic == topic)
            .values(dict(values))
        )


def _one(connection: Connection, podcast_key: int) -> HubSubscription | None:
    query = select(hub_subscriptions).where(hub_subscriptions.c.podcast_key == podcast_key)
    row = connection.execute(query).one_or_none()
    return None if row is None else _read(row)


def _read(row: Row[tuple[object, ...]]) -> HubSubscription:
    values = dict(row._mapping)
    return HubSubscription(**values | {"state": HubState(str(values["state"]))})
