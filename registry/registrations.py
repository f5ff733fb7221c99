"""Tenants begin and cease to track podcasts: in bulk, idempotent, a transaction a batch."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from operator import itemgetter
from typing import Any

import orjson
import psycopg2
from sqlalchemy import Connection, Engine, Row, Table, bindparam, delete, exists, select, update
from sqlalchemy.exc import DBAPIError

from ingest.feeds.schema import canonical_json, shard_of
from ingest.feeds.urls import is_derived_guid, podcast_key
from registry.ahead import ahead, without_gc
from registry.audit_log import Note
from registry.batches import PARAMETERS, ROWS, SORTED_ROWS, batches
from registry.database import alone, is_sqlite, writing
from registry.moved import moved_to
from registry.registration import Registration
from registry.shards import bump
from registry.tables import PodcastState, podcasts, registrations

# Called with how many were dealt with so far.
Progress = Callable[[int], None]

_Keyed = tuple[int, Registration]  # the podcast_key of its URL

# Why a podcast is polled no longer; the marts show it, so it names no tenant.
NOBODY_LEFT = "nobody tracks it any more"

_REGISTERING = "registering"  # one at a time: who is not there is not inserted by anybody else meanwhile
_FILLED = ("podcast_guid", "itunes_id", "podcastindex_id")  # where nothing was known


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
    engine: Engine,
    wanted: Iterable[Registration],
    now_us: int,
    progress: Progress | None = None,
    note: Note | None = None,
) -> Registered:
    """Track podcasts; reads `wanted` as it goes, in another thread.

    Labels merge. Of a podcast that is there, ids only fill gaps (a guid that was derived is one), but a
    show_id that is given is taken. One that was deregistered comes back. Batches commit one by one: a load
    that broke off is simply done again.
    """
    total, done = Registered(), 0
    with without_gc(), contextlib.closing(ahead(_in_order(wanted))) as windows:
        for window in windows:
            for batch in batches(window, ROWS):
                with writing(engine) as connection:
                    alone(connection, _REGISTERING)
                    done_now = _register(connection, batch, now_us)
                    if note:
                        note(connection, done_now)
                total += done_now
                done += len(batch)
                if progress:
                    progress(done)
            del window  # not kept until the next one is there
    return total


def _in_order(wanted: Iterable[Registration]) -> Iterator[list[_Keyed]]:
    """SORTED_ROWS at a time, by key."""
    for window in batches(wanted, SORTED_ROWS):
        yield sorted(((podcast_key(wish.url), wish) for wish in window), key=itemgetter(0))
        del window


def _register(connection: Connection, batch: list[_Keyed], now_us: int) -> Registered:
    moved = moved_to(connection, [key for key, _ in batch])
    wanted: dict[tuple[int, str], Registration] = {}
    for url_key, wish in batch:
        at = moved.get(url_key, url_key), wish.tenant
        wanted[at] = _merged(wanted[at], wish) if at in wanted else wish
    said: dict[int, Registration] = {}  # of the podcast, by all its tenants
    for (key, _), wish in wanted.items():
        said[key] = _merged(said[key], wish) if key in said else wish

    known = _known(connection, said)
    new = [key for key in said if key not in known]
    _insert(connection, podcasts, _PODCAST, [_podcast(key, said[key], now_us) for key in new])
    there = _labels(connection, known)
    added = [at for at in wanted if at not in there]
    rows = [_tracking(at, wanted[at], now_us) for at in added]
    _insert(connection, registrations, _TRACKING, rows)

    changing = [key for key, row in known.items() if _news(row, said[key])]
    returned, updated = _update(connection, changing, said)
    relabelled = _relabel(connection, there, wanted)
    bump(connection, map(shard_of, (*new, *(key for key, _ in added), *returned, *updated, *relabelled)))
    return Registered(
        podcasts=len(new),
        registrations=len(added),
        returned=len(returned),
        updated=len(updated),
        relabelled=len(relabelled),
        known=len(batch) - len(added),
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
        later.since_us if one.since_us is None else one.since_us,
    )


def _known(
    connection: Connection, keys: Collection[int], lock: bool = False
) -> dict[int, Row[tuple[Any, ...]]]:
    """Those of `keys` that are there, with what a registration may change."""
    columns = ("podcast_key", "feed_url", "original_url", *_FILLED, "show_id", "state")
    query = select(*(podcasts.c[name] for name in columns)).order_by(podcasts.c.podcast_key)
    if lock:  # by key, as the crawler does it
        query = query.with_for_update(key_share=True)
    return {
        row.podcast_key: row
        for some in batches(keys, PARAMETERS)
        for row in connection.execute(query.where(podcasts.c.podcast_key.in_(some)))
    }


def _labels(connection: Connection, keys: Collection[int]) -> dict[tuple[int, str], list[str]]:
    """The registrations of podcasts."""
    there = registrations.c
    query = select(there.podcast_key, there.tenant, there.labels)
    return {
        (key, tenant): labels
        for some in batches(keys, PARAMETERS)
        for key, tenant, labels in connection.execute(query.where(there.podcast_key.in_(some)))
    }


_PODCAST = ("podcast_key", "shard", "feed_url", *_FILLED, "show_id", "since_us", "state")
_ACTIVE = str(PodcastState.ACTIVE)
_TRACKING = ("podcast_key", "tenant", "labels", "since_us")


def _podcast(key: int, wish: Registration, now_us: int) -> tuple[object, ...]:
    """A row of _PODCAST."""
    return (
        key,
        shard_of(key),
        wish.url,
        wish.podcast_guid,
        wish.itunes_id,
        wish.podcastindex_id,
        wish.show_id,
        now_us if wish.since_us is None else wish.since_us,
        _ACTIVE,
    )


def _tracking(at: tuple[int, str], wish: Registration, now_us: int) -> tuple[object, ...]:
    """A row of _TRACKING."""
    since_us = now_us if wish.since_us is None else wish.since_us
    return *at, canonical_json(wish.labels), since_us


def _insert(
    connection: Connection, table: Table, names: Sequence[str], rows: list[tuple[object, ...]]
) -> None:
    """Rows that are not there yet: PostgreSQL takes them as a file."""
    if not rows:
        return
    into = f"{table.name} ({', '.join(names)})"
    if is_sqlite(connection):
        # One statement for all rows: the other thread runs while SQLite is at work, not only between rows.
        values = ", ".join(f"value ->> {place}" for place in range(len(names)))
        text = orjson.dumps(rows).decode()
        connection.exec_driver_sql(f"insert into {into} select {values} from json_each(?)", (text,))
        return
    file = io.StringIO()
    csv.writer(file).writerows(rows)  # None is written as nothing, which COPY reads as null
    file.seek(0)
    copy = f"copy {into} from stdin (format csv)"
    cursor: Any = connection.connection.cursor()
    with cursor:
        try:
            cursor.copy_expert(copy, file)
        except psycopg2.Error as error:  # as of any other statement
            raise DBAPIError(copy, None, error) from error


def _news(row: Row[tuple[Any, ...]], wish: Registration) -> dict[str, object]:
    """What `wish` changes of a podcast that is there."""
    news: dict[str, object] = {
        name: value
        for name in _FILLED
        if (value := getattr(wish, name)) is not None
        and (
            getattr(row, name) is None
            or (name == "podcast_guid" and value != row.podcast_guid and has_stand_in(row))
        )
    }
    if wish.show_id is not None and wish.show_id != row.show_id:
        news["show_id"] = wish.show_id
    if row.state == PodcastState.DEREGISTERED:
        news |= {"state": PodcastState.ACTIVE, "reason": None}
    return news


def has_stand_in(row: Any) -> bool:
    """Whether the guid of a row of podcasts is merely derived, since nobody had said any."""
    return is_derived_guid(row.podcast_guid, row.original_url or row.feed_url, row.feed_url)


def _update(
    connection: Connection, keys: list[int], said: dict[int, Registration]
) -> tuple[list[int], list[int]]:
    """The keys of podcasts that came back, and of others of which more is known now."""
    alike: dict[tuple[str, ...], list[dict[str, object]]] = {}  # by what changes
    returned: list[int] = []
    updated: list[int] = []
    for key, row in _known(connection, keys, lock=True).items():  # the crawler may have been quicker
        if news := _news(row, said[key]):
            alike.setdefault(tuple(news), []).append({"key": key, **news})
            (returned if "state" in news else updated).append(key)
    for rows in alike.values():
        connection.execute(update(podcasts).where(podcasts.c.podcast_key == bindparam("key")), rows)
    return returned, updated


def _relabel(
    connection: Connection,
    there: dict[tuple[int, str], list[str]],
    wanted: dict[tuple[int, str], Registration],
) -> list[int]:
    """Labels add up; the keys of podcasts that got some."""
    changed = []
    for at, wish in wanted.items():
        labels = there.get(at)
        if labels is not None and wish.labels and not set(wish.labels) <= set(labels):
            changed.append({"key": at[0], "of": at[1], "labels": sorted({*labels, *wish.labels})})
    if changed:
        of = registrations.c
        relabelling = update(registrations).where(
            of.podcast_key == bindparam("key"), of.tenant == bindparam("of")
        )
        connection.execute(relabelling, changed)
    return [int(str(row["key"])) for row in changed]


@dataclass(frozen=True)
class Deregistered:
    """What a deregistration changed."""

    registrations: int = 0
    podcasts: int = 0  # that no tenant tracks any more
    not_tracked: int = 0  # keys that the tenant did not track

    def __add__(self, other: Deregistered) -> Deregistered:
        return Deregistered(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def deregister(
    engine: Engine,
    keys: Iterable[int],
    tenant: str,
    reason: str,
    progress: Progress | None = None,
    note: Note | None = None,
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
            done_now = Deregistered(len(ended), left, len(named) - len(ended))
            if note:
                note(connection, done_now)
        total += done_now
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
