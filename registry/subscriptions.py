"""Who is told of changes: subscriptions kept, read and ended, their secrets turned over."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, Select, insert, select, update

from ingest.feeds.schema import ChangeType
from registry.audit_log import Note
from registry.database import alone, writing
from registry.subscribing import Mode, PodcastFilter, SubscriptionWish, checked_secret, new_secret
from registry.tables import DeliveryState, SubscriptionState, deliveries, subscriptions

ENDPOINT_SHARDS = 16
SECRET_OVERLAP_US = 24 * 3_600_000_000  # two secrets sign during a rotation (UPDATES §5)

# Why a delivery is dead that was never tried in vain.
UNSUBSCRIBED, ENDPOINT_DISABLED = "unsubscribed", "endpoint disabled"

_MAX_ID = 2**63 - 1


class UnknownSubscription(LookupError):
    """There is no such subscription, or it has ended; the message is for people."""


@dataclass(frozen=True)
class Subscription:
    """A row of `subscriptions`."""

    subscription_id: int
    tenant: str
    url: str
    secret: str = field(repr=False)
    previous_secret: str | None = field(repr=False)
    secret_until_us: int | None
    types: tuple[ChangeType, ...]
    podcasts: PodcastFilter
    fields: tuple[str, ...]
    mode: Mode
    cron: str | None
    time_zone: str
    batch_size: int
    coalesce_s: float
    is_ordered: bool
    rate_per_s: float | None
    state: SubscriptionState
    reason: str | None
    state_us: int
    created_us: int
    failures: int
    failing_since_us: int | None
    failed_us: int | None
    succeeded_us: int | None
    paused_until_us: int

    @property
    def shard(self) -> int:
        return endpoint_shard(self.subscription_id)

    def secrets(self, now_us: int) -> tuple[str, ...]:
        """Those that sign now: the current one first, then the previous one while it still does."""
        if self.previous_secret is None or self.secret_until_us is None or self.secret_until_us <= now_us:
            return (self.secret,)
        return (self.secret, self.previous_secret)


def endpoint_shard(subscription_id: int) -> int:
    """0 … 15: the shard of endpoints it belongs to; one sender at a time works on one."""
    return subscription_id % ENDPOINT_SHARDS


def add(engine: Engine, wish: SubscriptionWish, now_us: int, note: Note | None = None) -> Subscription:
    """A new subscription, active from now on."""
    with writing(engine) as connection:
        return _add(connection, wish, now_us, note)


def add_once(
    engine: Engine, wish: SubscriptionWish, now_us: int, note: Note | None = None
) -> tuple[Subscription, bool]:
    """(the subscription, whether it is new): the same asked for again, also at the same time, is one."""
    with writing(engine) as connection:
        alone(connection, "subscribing")
        for known in read(connection, wish.tenant):
            if asks_for_the_same(known, wish):
                return known, False
        return _add(connection, wish, now_us, note), True


def asks_for_the_same(one: Subscription, wish: SubscriptionWish) -> bool:
    """In all but the secret."""
    names = (each for each in SubscriptionWish.__dataclass_fields__ if each != "secret")
    return all(getattr(one, name) == getattr(wish, name) for name in names)


def _add(connection: Connection, wish: SubscriptionWish, now_us: int, note: Note | None) -> Subscription:
    row: dict[str, Any] = asdict(wish) | {
        "types": list(wish.types),
        "fields": list(wish.fields),
        "podcasts": _podcasts_json(wish.podcasts),
        "state": SubscriptionState.ACTIVE,
        "state_us": now_us,
        "created_us": now_us,
        "failures": 0,
        "paused_until_us": 0,
    }
    given = connection.scalar(insert(subscriptions).values(row).returning(subscriptions.c.subscription_id))
    assert given is not None
    return _noted(connection, given, note)


def _noted(connection: Connection, subscription_id: int, note: Note | None) -> Subscription:
    found = _one(connection, subscription_id)
    if note:
        note(connection, found)
    return found


def get(engine: Engine, subscription_id: int) -> Subscription:
    """One, also an ended one. Raises UnknownSubscription."""
    with engine.connect() as connection:
        return _one(connection, subscription_id)


def listing(engine: Engine, tenant: str | None = None, with_ended: bool = False) -> list[Subscription]:
    """Of a tenant, or of all; oldest first."""
    with engine.connect() as connection:
        return read(connection, tenant, with_ended)


def read(connection: Connection, tenant: str | None = None, with_ended: bool = False) -> list[Subscription]:
    """As `listing`, within a transaction."""
    query = select(subscriptions).order_by(subscriptions.c.subscription_id)
    if tenant is not None:
        query = query.where(subscriptions.c.tenant == tenant)
    if not with_ended:
        query = query.where(subscriptions.c.state != SubscriptionState.ENDED)
    return [subscription_of(row) for row in connection.execute(query).mappings()]


def end(engine: Engine, subscription_id: int, now_us: int, note: Note | None = None) -> Subscription:
    """Nothing is sent to it any more; its log stays. Of an ended one, nothing. Raises UnknownSubscription."""
    with writing(engine) as connection:
        found = _one(connection, subscription_id, is_locked=True)
        if found.state is SubscriptionState.ENDED:
            return found
        _change(connection, subscription_id, state=SubscriptionState.ENDED, reason=None, state_us=now_us)
        connection.execute(
            update(deliveries)
            .where(
                deliveries.c.subscription_id == subscription_id, deliveries.c.state == DeliveryState.PENDING
            )
            .values(state=DeliveryState.DEAD, reason=UNSUBSCRIBED, ended_us=now_us)
        )
        return _noted(connection, subscription_id, note)


def rotate(
    engine: Engine,
    subscription_id: int,
    now_us: int,
    secret: str | None = None,
    note: Note | None = None,
) -> Subscription:
    """A new secret; the one before signs beside it for a day, one before that no longer.

    Raises UnknownSubscription, and BadSubscription for a `secret` that cannot be one.
    """
    new = new_secret() if secret is None else checked_secret(secret)
    with writing(engine) as connection:
        found = _going_on(connection, subscription_id)
        if new != found.secret:  # said again: the one before goes on to sign
            _change(
                connection,
                subscription_id,
                secret=new,
                previous_secret=found.secret,
                secret_until_us=now_us + SECRET_OVERLAP_US,
            )
        return _noted(connection, subscription_id, note)


def resume(engine: Engine, subscription_id: int, now_us: int, note: Note | None = None) -> Subscription:
    """A disabled one is active again, and a paused one is paused no more, as if it had never failed; what is
    dead stays so until it is replayed.

    Raises UnknownSubscription.
    """
    with writing(engine) as connection:
        found = _going_on(connection, subscription_id)
        if found.state is SubscriptionState.DISABLED:
            _change(
                connection,
                subscription_id,
                state=SubscriptionState.ACTIVE,
                reason=None,
                state_us=now_us,
            )
        never = {"failures": 0, "failing_since_us": None, "failed_us": None, "paused_until_us": 0}
        _change(connection, subscription_id, **never)
        return _noted(connection, subscription_id, note)


def _going_on(connection: Connection, subscription_id: int) -> Subscription:
    found = _one(connection, subscription_id, is_locked=True)
    if found.state is SubscriptionState.ENDED:
        raise UnknownSubscription(f"subscription {subscription_id} has ended")
    return found


def _one(connection: Connection, subscription_id: int, is_locked: bool = False) -> Subscription:
    row = None
    if 0 < subscription_id <= _MAX_ID:
        query: Select[Any] = select(subscriptions).where(subscriptions.c.subscription_id == subscription_id)
        row = (
            connection.execute(query.with_for_update(key_share=True) if is_locked else query)
            .mappings()
            .one_or_none()
        )
    if row is None:
        raise UnknownSubscription(f"there is no subscription {subscription_id}")
    return subscription_of(row)


def _change(connection: Connection, subscription_id: int, **values: object) -> None:
    is_it = subscriptions.c.subscription_id == subscription_id
    connection.execute(update(subscriptions).where(is_it).values(values))


def _podcasts_json(podcasts: PodcastFilter) -> dict[str, list[str]]:
    """Keys as text: JavaScript's numbers are too small for them."""
    said = {"keys": [str(key) for key in podcasts.keys], "labels": list(podcasts.labels)}
    return {name: values for name, values in said.items() if values}


def subscription_of(row: RowMapping) -> Subscription:
    """A row of the table."""
    said = row["podcasts"]
    return Subscription(
        **{name: row[name] for name in Subscription.__dataclass_fields__ if name not in _READ},
        types=tuple(ChangeType(name) for name in row["types"]),
        podcasts=PodcastFilter(
            tuple(int(key) for key in said.get("keys", ())), tuple(said.get("labels", ()))
        ),
        fields=tuple(row["fields"]),
        mode=Mode(row["mode"]),
        state=SubscriptionState(row["state"]),
    )


_READ = frozenset({"types", "podcasts", "fields", "mode", "state"})
