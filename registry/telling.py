"""What the lake's shard tells newly: which changes somebody hears of, and what is said of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from sqlalchemy import Engine, select

from ingest.feeds.schema import EPISODE_CONTENT, PODCAST_CONTENT, ChangeType, Record
from ingest.feeds.state import Shard, changes_of
from ingest.lake import reading
from ingest.schema import DAY_US
from registry import subscriptions
from registry.batches import PARAMETERS, batches
from registry.change_data import (
    ChangeData,
    FieldData,
    besides,
    episode_data,
    field_data,
    minor_fields,
    podcast_data,
)
from registry.composing import Audience, Labels, Listener
from registry.subscribing import TYPES
from registry.tables import podcasts, registrations

# Where nothing is known to be handed over yet, what is older was told long ago, or is no news to anybody. The
# outbox remembers what was told for a day at least (settings.webhook_keep_days).
NEWS_US = DAY_US
_COLUMNS = ("podcast_key", "sequence", "detected_us", "change", "episode_key", "guid", "is_minor", "fields")
_EPISODE_COLUMNS = ("title", "enclosure_url", "published_us")

Place = tuple[int, int, int]  # podcast_key, sequence, detected_us: what makes a change the same


@dataclass(frozen=True)
class Heard:
    """A row of CHANGES, and those who are told of it."""

    row: Record  # _COLUMNS
    change: ChangeType
    fields: list[FieldData]
    listeners: list[Listener]

    @property
    def place(self) -> Place:
        return self.row["podcast_key"], self.row["sequence"], self.row["detected_us"]


def heard_of(
    engine: Engine, lake_root: Path, shard: int, handed: int, generation: int, now_us: int
) -> list[Heard]:
    """In order of detection, those of a podcast in order of sequence."""
    listening = subscriptions.listing(engine)
    if not listening:
        return []
    after = handed if handed < generation else 0  # else the lake was lost, or is an older copy
    since_us = 0 if after else now_us - NEWS_US
    changes = changes_of(lake_root, shard, after, generation, _COLUMNS, since_us)
    changes = changes.filter(pl.col("change").is_in(list(TYPES)))
    tenants = {subscription.tenant for subscription in listening}
    audience = Audience(listening, _tracked(engine, changes["podcast_key"].unique().to_list(), tenants))
    heard = []
    for row in changes.iter_rows(named=True):
        change, is_minor = ChangeType(row["change"]), row["is_minor"]
        listeners = audience.of(row["podcast_key"], change)
        if is_minor:
            listeners = [one for one in listeners if one.fields]
        if listeners:
            fields = field_data(row["fields"])
            names = [one["field"] for one in fields]
            listeners = [one for one in listeners if one.hears(change, is_minor, names)]
        if listeners:
            heard.append(Heard(row, change, fields, listeners))
    return heard


def _tracked(engine: Engine, podcast_keys: Sequence[int], tenants: Collection[str]) -> dict[int, Labels]:
    """podcast_key → those of the tenants that track it, with their labels of it."""
    tracked: dict[int, dict[str, list[str]]] = {}
    query = select(registrations.c.podcast_key, registrations.c.tenant, registrations.c.labels)
    with engine.connect() as connection:
        for some in batches(podcast_keys, PARAMETERS):
            for key, tenant, labels in connection.execute(
                query.where(registrations.c.podcast_key.in_(some))
            ).tuples():
                if tenant in tenants:
                    tracked.setdefault(key, {})[tenant] = labels
    return dict(tracked)


def data_of(engine: Engine, lake_root: Path, shard: int, heard: Sequence[Heard]) -> list[ChangeData]:
    """What is said of each change: of podcast and episode what the registry and the lake hold now."""
    if not heard:
        return []
    keys = sorted({one.row["podcast_key"] for one in heard})
    names = _names(engine, keys)
    wanted: dict[int, set[int]] = {}
    for one in heard:
        if (episode_key := one.row["episode_key"]) is not None:
            wanted.setdefault(one.row["podcast_key"], set()).add(episode_key)
    # Columns that only tell what is minor may be large: they are read where they are needed.
    beside: set[str] = set()
    for one in heard:
        if not one.row["is_minor"]:
            beside |= besides(one.fields)
    with reading(lake_root):
        lake = Shard(lake_root, shard)
        shows = lake.podcasts(keys, ("title", *sorted(beside & PODCAST_CONTENT.keys())))
        columns = (*_EPISODE_COLUMNS, *sorted(beside & EPISODE_CONTENT.keys()))
        episodes = lake.episodes(wanted, columns) if wanted else {}
    data: list[ChangeData] = []
    for one in heard:
        key, episode_key = one.row["podcast_key"], one.row["episode_key"]
        show, episode = shows.get(key), episodes.get(key, {}).get(episode_key)
        guid, feed_url = names.get(key, (None, None))
        is_episodes = episode_key is not None
        record, schema = (episode, EPISODE_CONTENT) if is_episodes else (show, PODCAST_CONTENT)
        data.append(
            {
                "podcast": podcast_data(guid, feed_url, show["title"] if show else None),
                "episode": episode_data(episode_key, one.row["guid"], episode) if is_episodes else None,
                "changes": one.fields,
                "is_minor": one.row["is_minor"],
                "minor_fields": minor_fields(one.fields, one.row["is_minor"], schema, record),
            }
        )
    return data


def _names(engine: Engine, podcast_keys: Sequence[int]) -> dict[int, tuple[str | None, str]]:
    """podcast_key → (podcast:guid, URL of its feed)."""
    query = select(podcasts.c.podcast_key, podcasts.c.podcast_guid, podcasts.c.feed_url)
    with engine.connect() as connection:
        return {
            key: (guid, feed_url)
            for some in batches(podcast_keys, PARAMETERS)
            for key, guid, feed_url in connection.execute(
                query.where(podcasts.c.podcast_key.in_(some))
            ).tuples()
        }
