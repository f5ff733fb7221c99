"""Tenants begin and cease to track podcasts: in bulk, idempotent, a transaction a batch."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from itertools import islice
from operator import itemgetter
from typing import Any, NamedTuple

import orjson
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    MetaData,
    Table,
    Text,
    and_,
    bindparam,
    case,
    cast,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from ingest.feeds.schema import SHARDS, canonical_json, shard_of
from ingest.feeds.urls import podcast_key
from registry.batches import PARAMETERS, ROWS, SORTED_ROWS, batches
from registry.database import alone, is_sqlite, writing
from registry.moved import moved_to
from registry.registration import Registration
from registry.shards import bump
from registry.tables import PodcastState, podcasts, registrations

# Called with how many were dealt with so far.
Progress = Callable[[int], None]

_Keyed = tuple[int, Registration]  # the podcast_key of its URL

_REGISTERING = "registering"
_incoming = Table(
    "earshot_incoming",
    MetaData(),
    Column("podcast_key", BigInteger),
    Column("tenant", Text),
    Column("is_first", Boolean),  # of the podcast in this batch: it carries what all its rows say
    Column("feed_url", Text),
    Column("podcast_guid", Text),
    Column("itunes_id", BigInteger),
    Column("podcastindex_id", BigInteger),
    Column("show_id", Text),
    Column("since_us", BigInteger),
    Column("labels", Text),
    prefixes=["temporary"],
)


class _Incoming(NamedTuple):
    """A row of `incoming`, in its order."""

    podcast_key: int
    tenant: str
    is_first: bool
    feed_url: str
    podcast_guid: str | None
    itunes_id: int | None
    podcastindex_id: int | None
    show_id: str | None
    since_us: int
    labels: str


@dataclass(frozen=True)
class Registered:
    """What a load changed; a second one of the same leaves only `known`."""

    podcasts: int = 0  # not known before
    registrations: int = 0  # of tenants who did not track it before
    returned: int = 0  # podcasts that were deregistered
    updated: int = 0  # podcasts of which an id was learnt
    relabelled: int = 0  # registrations with new labels
    known: int = 0  # registrations that were there

    def __add__(self, other: Registered) -> Registered:
        return Registered(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def register(
    engine: Engine, wanted: Iterable[Registration], now_us: int, progress: Progress | None = None
) -> Registered:
    """Track podcasts; reads `wanted` as it goes.

    Labels merge. Of a podcast that is there, ids only fill gaps, but a show_id that is given is taken. One
    that was deregistered comes back. Batches commit one by one: a load that broke off is simply done again.
    """
    total, done = Registered(), 0
    for batch in _in_order(wanted):
        with writing(engine) as connection:
            alone(connection, _REGISTERING)
            total += _register(connection, batch, now_us)
        done += len(batch)
        if progress:
            progress(done)
    return total


def _in_order(wanted: Iterable[Registration]) -> Iterator[list[_Keyed]]:
    """Batches of ROWS, by key within SORTED_ROWS."""
    rest = iter(wanted)
    while True:
        window = sorted(
            ((podcast_key(wish.url), wish) for wish in islice(rest, SORTED_ROWS)), key=itemgetter(0)
        )
        if not window:
            return
        yield from batches(window, ROWS)
        del window  # not kept while the next one is read


def _register(connection: Connection, batch: list[_Keyed], now_us: int) -> Registered:
    rows = _rows(connection, batch, now_us)
    _incoming.create(connection, checkfirst=False)
    _fill(connection, rows)
    new = _insert_podcasts(connection)
    added = _insert_registrations(connection)
    returned: list[int] = []
    updated: list[int] = []
    relabelled: list[int] = []
    if len(new) < len(rows):  # else nothing was there that could change
        returned, updated = _update_podcasts(connection)
        relabelled = _merge_labels(connection)
    _incoming.drop(connection, checkfirst=False)
    bump(connection, map(shard_of, (*new, *added, *returned, *updated, *relabelled)))
    return Registered(
        podcasts=len(new),
        registrations=len(added),
        returned=len(returned),
        updated=len(updated),
        relabelled=len(relabelled),
        known=len(batch) - len(added),
    )


def _rows(connection: Connection, batch: list[_Keyed], now_us: int) -> list[_Incoming]:
    """One row a podcast and tenant, sorted; what is said twice merged."""
    moved = moved_to(connection, {key for key, _ in batch})
    merged: dict[tuple[int, str], Registration] = {}
    for url_key, wish in batch:
        at = moved.get(url_key, url_key), wish.tenant
        merged[at] = _merged(merged[at], wish) if at in merged else wish
    rows: list[_Incoming] = []
    first = 0
    for key, tenant in sorted(merged):
        row = _row(key, merged[key, tenant], now_us)
        if rows and rows[-1].podcast_key == key:  # a second tenant: the first row speaks for the podcast
            row = row._replace(is_first=False)
            rows[first] = _told_more(rows[first], row)
        else:
            first = len(rows)
        rows.append(row)
    return rows


def _row(key: int, wish: Registration, now_us: int) -> _Incoming:
    return _Incoming(
        key,
        wish.tenant,
        True,
        wish.url,
        wish.podcast_guid,
        wish.itunes_id,
        wish.podcastindex_id,
        wish.show_id,
        now_us if wish.since_us is None else wish.since_us,
        canonical_json(wish.labels),
    )


def _merged(one: Registration, later: Registration) -> Registration:
    return Registration(
        one.url,
        one.tenant,
        tuple(sorted({*one.labels, *later.labels})),
        one.podcast_guid or later.podcast_guid,
        one.itunes_id or later.itunes_id,
        one.podcastindex_id or later.podcastindex_id,
        later.show_id or one.show_id,
        one.since_us if later.since_us is None else later.since_us,
    )


def _told_more(first: _Incoming, other: _Incoming) -> _Incoming:
    return first._replace(
        podcast_guid=first.podcast_guid or other.podcast_guid,
        itunes_id=first.itunes_id or other.itunes_id,
        podcastindex_id=first.podcastindex_id or other.podcastindex_id,
        show_id=other.show_id or first.show_id,
    )


def _fill(connection: Connection, rows: list[_Incoming]) -> None:
    if is_sqlite(connection):
        marks = ", ".join("?" * len(_Incoming._fields))
        connection.exec_driver_sql(f"insert into earshot_incoming values ({marks})", rows)
        return
    text = io.StringIO()
    csv.writer(text).writerows(rows)  # None is written as nothing, which COPY reads as null
    text.seek(0)
    cursor: Any = connection.connection.cursor()
    with cursor:
        cursor.copy_expert("copy earshot_incoming from stdin (format csv)", text)


def _insert_podcasts(connection: Connection) -> list[int]:
    new = _incoming.c
    source = select(
        new.podcast_key,
        new.podcast_key.bitwise_and(SHARDS - 1),
        new.feed_url,
        new.podcast_guid,
        new.itunes_id,
        new.podcastindex_id,
        new.show_id,
        new.since_us,
        bindparam("active", str(PodcastState.ACTIVE), Text),
    ).where(new.is_first, ~exists().where(podcasts.c.podcast_key == new.podcast_key))
    into = ["podcast_key", "shard", "feed_url", "podcast_guid", "itunes_id"]
    into += ["podcastindex_id", "show_id", "since_us", "state"]
    statement = insert(podcasts).from_select(into, source.order_by(new.podcast_key))
    return list(connection.scalars(statement.returning(podcasts.c.podcast_key)))


def _insert_registrations(connection: Connection) -> list[int]:
    new, there = _incoming.c, registrations.c
    known = exists().where(there.podcast_key == new.podcast_key, there.tenant == new.tenant)
    source = select(new.podcast_key, new.tenant, cast(new.labels, JSON), new.since_us).where(~known)
    if is_sqlite(connection):  # where JSON is text, and a cast would make a number of it
        source = source.with_only_columns(new.podcast_key, new.tenant, new.labels, new.since_us)
    statement = insert(registrations).from_select(
        ["podcast_key", "tenant", "labels", "since_us"], source.order_by(new.podcast_key, new.tenant)
    )
    return list(connection.scalars(statement.returning(there.podcast_key)))


def _update_podcasts(connection: Connection) -> tuple[list[int], list[int]]:
    """The keys of podcasts that came back, and of others of which more is known now."""
    new, there = _incoming.c, podcasts.c
    is_back = there.state == PodcastState.DEREGISTERED
    gaps = [(there[name], new[name]) for name in ("podcast_guid", "itunes_id", "podcastindex_id")]
    learns = or_(
        *(and_(old.is_(None), given.is_not(None)) for old, given in gaps),
        and_(new.show_id.is_not(None), there.show_id.is_distinct_from(new.show_id)),
    )
    same = and_(new.is_first, there.podcast_key == new.podcast_key)
    changing = select(there.podcast_key, is_back).where(same, or_(is_back, learns))
    # Locked in the order in which the crawler locks them.
    found = connection.execute(
        changing.order_by(there.podcast_key).with_for_update(key_share=True, of=podcasts)
    ).all()
    if found:
        connection.execute(
            update(podcasts)
            .where(same, or_(is_back, learns))
            .values(
                **{old.name: func.coalesce(old, given) for old, given in gaps},
                show_id=func.coalesce(new.show_id, there.show_id),
                state=case((is_back, str(PodcastState.ACTIVE)), else_=there.state),
                reason=case((is_back, None), else_=there.reason),
            )
        )
    return [key for key, back in found if back], [key for key, back in found if not back]


def _merge_labels(connection: Connection) -> list[int]:
    new, there = _incoming.c, registrations.c
    other = select(there.podcast_key, there.tenant, there.labels, new.labels).where(
        there.podcast_key == new.podcast_key,
        there.tenant == new.tenant,
        new.labels != "[]",
        cast(there.labels, Text) != new.labels,
    )
    changed = []
    for key, tenant, old, text in connection.execute(other):
        labels = sorted({*old, *orjson.loads(text)})
        if labels != old:
            changed.append({"key": key, "of_tenant": tenant, "labels": labels})
    if changed:
        connection.execute(
            update(registrations).where(
                there.podcast_key == bindparam("key"), there.tenant == bindparam("of_tenant")
            ),
            changed,
        )
    return [int(row["key"]) for row in changed]


@dataclass(frozen=True)
class Deregistered:
    """What a deregistration changed."""

    registrations: int = 0
    podcasts: int = 0  # that no tenant tracks any more
    not_tracked: int = 0  # keys that the tenant did not track

    def __add__(self, other: Deregistered) -> Deregistered:
        return Deregistered(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def deregister(
    engine: Engine, keys: Iterable[int], tenant: str, reason: str, progress: Progress | None = None
) -> Deregistered:
    """End a tenant's tracking of podcasts, by the key of any URL they had.

    One that no tenant is left of is no longer polled, for `reason`; its history stays.
    """
    total, done = Deregistered(), 0
    for batch in batches(keys, ROWS):
        with writing(engine) as connection:
            alone(connection, _REGISTERING)
            ended: list[int] = []
            left = 0
            moved = moved_to(connection, set(batch))
            named = sorted({moved.get(key, key) for key in batch})
            for some in batches(named, PARAMETERS):
                ended += _end(connection, some, tenant)
                left += _leave(connection, some, reason)
            bump(connection, map(shard_of, ended))
        total += Deregistered(len(ended), left, len(named) - len(ended))
        done += len(batch)
        if progress:
            progress(done)
    return total


def _end(connection: Connection, keys: list[int], tenant: str) -> list[int]:
    """Removes registrations, the podcasts locked as the crawler locks them; the keys of those there were."""
    locking = select(podcasts.c.podcast_key).where(podcasts.c.podcast_key.in_(keys))
    connection.execute(locking.order_by(podcasts.c.podcast_key).with_for_update()).all()
    there = registrations.c
    ending = delete(registrations).where(there.podcast_key.in_(keys), there.tenant == tenant)
    return list(connection.scalars(ending.returning(there.podcast_key)))


def _leave(connection: Connection, keys: list[int], reason: str) -> int:
    """Marks the podcasts that nobody tracks; how many there are."""
    is_tracked = exists().where(registrations.c.podcast_key == podcasts.c.podcast_key)
    leaving = update(podcasts).where(
        podcasts.c.podcast_key.in_(keys), podcasts.c.state != PodcastState.DEREGISTERED, ~is_tracked
    )
    return connection.execute(leaving.values(state=PodcastState.DEREGISTERED, reason=reason)).rowcount
