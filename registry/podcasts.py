"""The podcasts tracked: found, listed, read by shard, and what the crawler learns of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    RowMapping,
    Text,
    cast,
    func,
    or_,
    select,
    update,
)

from ingest.feeds.schema import REGISTERED, shard_of
from ingest.feeds.urls import BadFeedUrl, feed_url, normal_guid, podcast_key
from ingest.schema import Schema, conform
from registry.batches import PARAMETERS, batches
from registry.database import writing
from registry.leases import Lease, assert_held
from registry.registration import Registration
from registry.registrations import NOBODY_LEFT, Deregistered, Registered, deregister, register
from registry.shards import bump, version, versions
from registry.tables import PodcastState, podcasts, registrations

__all__ = [
    "NOBODY_LEFT",
    "TRACKED",
    "Crawled",
    "Deregistered",
    "Filter",
    "Podcast",
    "Registered",
    "Registration",
    "Tracking",
    "are_more_than",
    "by_podcastindex_id",
    "deregister",
    "find",
    "guid_of",
    "listing",
    "read_podcasts",
    "record_crawl",
    "register",
    "tracked",
    "tracked_version",
    "tracked_versions",
]

TRACKED: Schema = {
    "podcast_key": pl.Int64,
    "feed_url": pl.String,
    "original_url": pl.String,
    "since_us": pl.Int64,
    "itunes_id": pl.Int64,
    "podcastindex_id": pl.Int64,
    "podcast_guid": pl.String,
    "show_id": pl.String,
    "state": pl.String,  # PodcastState
    "reason": pl.String,
}

# A cheap mark of change of a shard (registry/shards.py): same version, same `tracked`.
tracked_version, tracked_versions = version, versions


@dataclass(frozen=True)
class Tracking:
    """A tenant's registration of a podcast."""

    tenant: str
    labels: tuple[str, ...]
    since_us: int


@dataclass(frozen=True)
class Podcast:
    """What the registry knows of a podcast."""

    podcast_key: int
    feed_url: str
    original_url: str
    podcast_guid: str | None  # None: not given, and not fetched yet
    itunes_id: int | None
    podcastindex_id: int | None
    show_id: str | None  # where none was given, the podcast_guid
    since_us: int
    state: PodcastState
    reason: str | None
    trackings: tuple[Tracking, ...] = ()  # by tenant


@dataclass(frozen=True)
class Filter:
    """Which podcasts are meant; None: whatever it is."""

    tenant: str | None = None
    label: str | None = None
    state: PodcastState | None = None
    host: str | None = None
    with_deregistered: bool = True  # of no state in particular: also those nobody tracks any more


def find(engine: Engine, what: str) -> list[Podcast]:
    """The podcasts that `what` means: a podcast_key, a URL (also one moved to, also without its scheme), a
    podcast:guid, an Apple or Podcast Index id. Several where a guid or id stands in several feeds; none
    where nothing is tracked.
    """
    what = what.strip()
    with engine.connect() as connection:
        for condition in _meanings(connection, what):
            if found := read_podcasts(connection, [condition]):
                return found
    return []


def are_more_than(engine: Engine, number: int) -> bool:
    """Whether more than so many podcasts are known; as quick as counting that many."""
    some = select(podcasts.c.podcast_key).limit(number + 1).subquery()
    with engine.connect() as connection:
        return (connection.scalar(select(func.count()).select_from(some)) or 0) > number


def by_podcastindex_id(engine: Engine, ids: Collection[int]) -> dict[int, int]:
    """Podcast Index ids → podcast_keys of those tracked; of several under one id the smallest."""
    known = podcasts.c.podcastindex_id
    query = select(known, func.min(podcasts.c.podcast_key)).group_by(known)
    with engine.connect() as connection:
        return {
            number: key
            for some in batches(ids, PARAMETERS)
            for number, key in connection.execute(query.where(known.in_(some))).tuples()
        }


def _meanings(connection: Connection, what: str) -> Iterator[ColumnElement[bool]]:
    """The likeliest first."""
    key = podcasts.c.podcast_key
    digits = what.removeprefix("-")
    if digits.isascii() and digits.isdigit() and len(digits) <= 19:
        number = int(what)
        if -(2**63) <= number < 2**63:
            yield key == number
            yield podcasts.c.itunes_id == number
            yield podcasts.c.podcastindex_id == number
    url_key = _url_key(what)
    if url_key is not None:
        yield key == url_key
        yield podcasts.c.moved_key == url_key
    yield podcasts.c.podcast_guid == normal_guid(what)


def _url_key(what: str) -> int | None:
    """The key of a URL, also where its scheme is left out: keys do not tell http from https."""
    for url in (what, *([f"https://{what}"] if "." in what else [])):
        try:
            return podcast_key(feed_url(url))
        except BadFeedUrl:
            continue
    return None


def listing(
    engine: Engine, which: Filter = Filter(), after: int | None = None, limit: int = 1000
) -> list[Podcast]:
    """A page of podcasts by key; the next page begins `after` the last key of this one."""
    conditions: list[ColumnElement[bool]] = []
    of_tenant: list[ColumnElement[bool]] = []
    if which.tenant is not None:
        of_tenant.append(registrations.c.tenant == which.tenant)
    if which.label is not None:
        of_tenant.append(cast(registrations.c.labels, Text).contains(f'"{which.label}"', autoescape=True))
    if of_tenant:
        tracking = select(registrations.c.podcast_key).where(
            registrations.c.podcast_key == podcasts.c.podcast_key, *of_tenant
        )
        conditions.append(tracking.exists())
    if which.state is not None:
        conditions.append(podcasts.c.state == which.state)
    elif not which.with_deregistered:
        conditions.append(podcasts.c.state != PodcastState.DEREGISTERED)
    if which.host is not None:
        conditions.append(_is_on(which.host.lower()))
    if after is not None:
        conditions.append(podcasts.c.podcast_key > after)
    with engine.connect() as connection:
        return read_podcasts(connection, conditions, limit)


def _is_on(host: str) -> ColumnElement[bool]:
    starts = [f"{scheme}://{host}{end}" for scheme in ("http", "https") for end in "/:"]
    return or_(*(podcasts.c.feed_url.startswith(start, autoescape=True) for start in starts))


# What null stands for.
_DEFAULTS = {
    "original_url": func.coalesce(podcasts.c.original_url, podcasts.c.feed_url).label("original_url"),
    "show_id": func.coalesce(podcasts.c.show_id, podcasts.c.podcast_guid).label("show_id"),
}


def read_podcasts(
    connection: Connection, conditions: Sequence[ColumnElement[bool]], limit: int | None = None
) -> list[Podcast]:
    """The podcasts that meet the conditions, by key, with all who track them."""
    names = (name for name in Podcast.__dataclass_fields__ if name in podcasts.c)
    query = select(*(_DEFAULTS.get(name, podcasts.c[name]) for name in names))
    rows = connection.execute(query.where(*conditions).order_by(podcasts.c.podcast_key).limit(limit)).all()
    trackings: dict[int, list[Tracking]] = {}
    for keys in batches([row.podcast_key for row in rows], PARAMETERS):
        of_keys = select(registrations).where(registrations.c.podcast_key.in_(keys))
        for each in connection.execute(of_keys.order_by(registrations.c.tenant)):
            tracking = Tracking(each.tenant, tuple(each.labels), each.since_us)
            trackings.setdefault(each.podcast_key, []).append(tracking)
    return [_podcast(row, trackings.get(row.podcast_key, [])) for row in rows]


def _podcast(row: Row[tuple[object, ...]], trackings: Sequence[Tracking]) -> Podcast:
    podcast = Podcast(**row._mapping, trackings=tuple(trackings))
    return replace(podcast, state=PodcastState(podcast.state))


def tracked(
    engine: Engine,
    shard: int,
    columns: Sequence[str] = tuple(TRACKED),
    keys: Collection[int] | None = None,
) -> pl.DataFrame:
    """All podcasts of a shard, or those of `keys`: `columns` of TRACKED, by key; also those no longer polled
    (`state`).
    """
    selected: list[ColumnElement[Any]] = [_DEFAULTS.get(name, podcasts.c[name]) for name in columns]
    query = select(*selected).where(podcasts.c.shard == shard).order_by(podcasts.c.podcast_key)
    with engine.connect() as connection:
        if keys is None:
            rows = connection.execute(query).all()
        else:
            rows = [
                row
                for some in batches(sorted(keys), PARAMETERS)
                for row in connection.execute(query.where(podcasts.c.podcast_key.in_(some))).all()
            ]
    # By column: a tenth less than by row, of what every visit to a shard pays for all its podcasts.
    by_column = dict(zip(columns, zip(*rows, strict=True), strict=False))  # no column where there is no row
    return pl.DataFrame(by_column, {name: TRACKED[name] for name in columns})


def registered(engine: Engine) -> pl.DataFrame:
    """The registry as the marts see it: columns of REGISTERED, by podcast_key."""
    selected: list[ColumnElement[Any]] = [podcasts.c[name] for name in REGISTERED if name in podcasts.c]
    with engine.connect() as connection:
        rows = connection.execute(select(*selected)).fetchall()
        who = connection.execute(
            select(registrations.c.podcast_key, registrations.c.tenant, registrations.c.labels)
        ).fetchall()
    known = {name: REGISTERED[name] for name in REGISTERED if name in podcasts.c}
    tracking = pl.DataFrame(
        [tuple(row) for row in who],
        {"podcast_key": pl.Int64, "tenants": pl.String, "labels": pl.List(pl.String)},
        orient="row",
    )
    by_podcast = tracking.group_by("podcast_key").agg(
        pl.col("tenants").sort(), pl.col("labels").list.explode(empty_as_null=False).unique().sort()
    )
    frame = pl.DataFrame([tuple(row) for row in rows], known, orient="row")
    empty = pl.lit([], pl.List(pl.String))
    joined = frame.join(by_podcast, on="podcast_key", how="left").with_columns(
        pl.col("tenants", "labels").fill_null(empty)
    )
    return conform(joined, REGISTERED).sort("podcast_key").collect()


@dataclass(frozen=True)
class Crawled:
    """What a sweep learnt of one podcast; None: nothing new."""

    podcast_key: int
    feed_url: str | None = None  # where it moved, normalised
    podcast_guid: str | None = None
    itunes_id: int | None = None
    podcastindex_id: int | None = None
    state: PodcastState | None = None
    reason: str | None = None  # taken with the state
    is_guid_declared: bool = True  # by the feed; False: derived from its URL (UPDATES §4)


def record_crawl(engine: Engine, learnt: Sequence[Crawled], lease: Lease | None = None) -> int:
    """Take over what was learnt, in one transaction; how many podcasts that changed.

    A podcast that was deregistered meanwhile stays so. With `lease`, nothing is written once another worker
    has taken the shard: raises registry.leases.LeaseLost.
    """
    by_key = {each.podcast_key: each for each in learnt}
    changed: list[int] = []
    with writing(engine) as connection:
        if lease is not None:
            assert_held(connection, lease)
        for keys in batches(sorted(by_key), PARAMETERS):
            query = select(podcasts).where(podcasts.c.podcast_key.in_(keys))
            locked = query.order_by(podcasts.c.podcast_key).with_for_update(key_share=True)
            for row in connection.execute(locked).mappings().all():
                new = _news(by_key[row["podcast_key"]], row)
                if any(row[name] != value for name, value in new.items()):
                    of_key = podcasts.c.podcast_key == row["podcast_key"]
                    connection.execute(update(podcasts).where(of_key).values(new))
                    changed.append(row["podcast_key"])
        bump(connection, map(shard_of, changed))
    return len(changed)


def guid_of(known: str | None, crawled: str, is_declared: bool) -> str:
    """The guid of a podcast that has `known` in the registry, once its feed was read.

    What the feed declares counts before what a registration or a directory said of it. A derived one only
    stands in where nobody said any, so it neither ends a registered one nor one that was declared before.
    """
    return normal_guid(crawled) if is_declared or known is None else known


def _news(crawled: Crawled, row: RowMapping) -> dict[str, object]:
    """The columns that may be new in `row`, with their values."""
    guid = crawled.podcast_guid
    given: dict[str, object] = {
        "podcast_guid": guid_of(row["podcast_guid"], guid, crawled.is_guid_declared) if guid else None,
        "itunes_id": crawled.itunes_id,
        "podcastindex_id": crawled.podcastindex_id,
    }
    news = {name: value for name, value in given.items() if value is not None}
    if crawled.feed_url is not None:
        original = row["original_url"] or row["feed_url"]
        url_key = podcast_key(crawled.feed_url)
        news |= {
            "feed_url": crawled.feed_url,
            "original_url": None if crawled.feed_url == original else original,
            "moved_key": None if url_key == crawled.podcast_key else url_key,
        }
    if crawled.state is not None and row["state"] != PodcastState.DEREGISTERED:
        news |= {"state": crawled.state, "reason": crawled.reason}
    return news
