"""What changed since a time, and what of it a subscription asks for, filter by filter."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import polars as pl
from sqlalchemy import Engine, func, select

from ingest.feeds.schema import CHANGES, SHARDS, ChangeType
from ingest.feeds.state import changes_folder
from registry.batches import PARAMETERS, batches
from registry.composing import Listener
from registry.subscribing import PodcastFilter
from registry.subscriptions import Subscription
from registry.tables import registrations

_KIND = ("podcast_key", "change", "is_minor")


@dataclass(frozen=True)
class Matched:
    """Changes in the lake by today's registrations; each count is of those that passed the filters before."""

    podcasts: int  # that its tenant tracks
    changes: int  # of these podcasts
    of_podcasts: int  # … of those it asks for
    of_types: int  # … of the types it asks for
    told: int  # … not minor, or of the fields it asks for: what it is told of


def matched(engine: Engine, lake_root: Path, subscription: Subscription, since_us: int) -> Matched:
    """What changed since then, as far as the lake knows it now."""
    podcasts, shards = _tracked(engine, subscription.tenant)
    found = _since(lake_root, shards, since_us)
    if found is None:
        return Matched(podcasts, 0, 0, 0, 0)
    kinds = found.group_by(_KIND).len("changes").collect()
    labels = _labels(engine, subscription.tenant, kinds["podcast_key"].unique().to_list())
    of_tenant, of_podcasts, of_types = (
        _meant(kinds, Listener(each), labels)
        for each in (
            replace(subscription, types=(), podcasts=PodcastFilter()),
            replace(subscription, types=()),
            subscription,
        )
    )
    told = _told(found, of_types, Listener(subscription))
    return Matched(podcasts, _sum(of_tenant), _sum(of_podcasts), _sum(of_types), told)


def _tracked(engine: Engine, tenant: str) -> tuple[int, set[int]]:
    """How many podcasts the tenant tracks, and in which shards they are."""
    shard = registrations.c.podcast_key.bitwise_and(SHARDS - 1)
    query = select(shard, func.count()).where(registrations.c.tenant == tenant).group_by(shard)
    with engine.connect() as connection:
        counts = dict(connection.execute(query).tuples().all())
    return sum(counts.values()), set(counts)


def _since(lake_root: Path, shards: Collection[int], since_us: int) -> pl.LazyFrame | None:
    """CHANGES of the shards since then; None: there are none."""
    first = changes_folder(lake_root, since_us).name
    files = sorted(
        path
        for folder in (lake_root / "changes").glob("day=*")
        if folder.name >= first
        for path in folder.glob("[0-9]*-[0-9]*.parquet")
        if int(path.name.partition("-")[0]) in shards
    )
    if not files:
        return None
    return pl.scan_parquet(files, schema=pl.Schema(CHANGES)).filter(
        pl.col("detected_us") >= since_us, pl.col("change") != ChangeType.PODCAST_ADDED.value
    )


def _labels(engine: Engine, tenant: str, podcast_keys: Collection[int]) -> dict[int, list[str]]:
    """podcast_key → its labels with the tenant; podcasts it does not track are left out."""
    key = registrations.c.podcast_key
    query = select(key, registrations.c.labels).where(registrations.c.tenant == tenant)
    found: dict[int, list[str]] = {}
    with engine.connect() as connection:
        for some in batches(podcast_keys, PARAMETERS):
            found.update(connection.execute(query.where(key.in_(some))).tuples().all())
    return found


def _meant(kinds: pl.DataFrame, listener: Listener, labels: dict[int, list[str]]) -> pl.DataFrame:
    """Those of `kinds` that matter to the listener, whatever the fields."""
    is_meant = [
        key in labels and listener.is_for(key, labels[key], ChangeType(change))
        for key, change in zip(kinds["podcast_key"], kinds["change"], strict=True)
    ]
    return kinds.filter(pl.Series(is_meant, dtype=pl.Boolean))


def _told(found: pl.LazyFrame, kinds: pl.DataFrame, listener: Listener) -> int:
    if not listener.fields:  # then they need not be read
        return _sum(kinds.filter(~pl.col("is_minor")))
    asked = found.join(kinds.lazy(), on=_KIND, how="semi").select("change", "is_minor", "fields")
    return sum(
        listener.hears(ChangeType(change), is_minor, _names(said))
        for change, is_minor, said in asked.collect().iter_rows()
    )


def _names(fields: str | None) -> list[str]:
    said: list[dict[str, Any]] = orjson.loads(fields) if fields else []
    return [one["field"] for one in said]


def _sum(kinds: pl.DataFrame) -> int:
    return int(kinds["changes"].sum())
