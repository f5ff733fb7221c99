"""The state of feeds in small lakes, as ingest/feeds commits it, and requests for their episodes."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime

import polars as pl

from ingest.feeds import schema as feeds
from ingest.lake import Lake, write_parquet
from ingest.logs.urls import enclosure_key
from ingest.schema import Schema, conform
from tests.dbt.lakes import START_US, Row

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
THRESHOLD = 960_000  # bytes of a minute at 128 kbit/s


def url(name: str) -> str:
    return f"https://cdn.example/{name}.mp3"


def request(name: str, number: int, started_us: int, served_bytes: int = THRESHOLD) -> Row:
    """A request of listener `number` for the enclosure `name`."""
    return {
        "source": "cdn",
        "source_class": "server_log",
        "request_key": number * 1_000_003 + started_us,
        "started_us": started_us,
        "key_epoch": 1,
        "address_key": number,
        "listener_key": number,
        "enclosure_key": enclosure_key(url(name)),
        "enclosure_url": url(name),
        "method": "GET",
        "status": 206,
        "range_start": 0,
        "served_bytes": served_bytes,
        "app": "app",
        "agent_type": "app",
        "is_media": True,
    }


def episode(podcast_key: int, name: str, generation: int, **values: object) -> Row:
    """An EPISODES row with the GUID `guid-<name>`, its enclosure, and what `values` says instead."""
    return {
        "podcast_key": podcast_key,
        "episode_key": podcast_key * 1_000 + sum(map(ord, name)),
        "guid": f"guid-{name}",
        "guid_source": "declared",
        "title": f"Episode {name}",
        "published_us": START_US - 24 * HOUR_US,
        "enclosure_url": url(name),
        "enclosure_canonical": url(name),
        "enclosure_urls": [url(name)],
        "enclosure_bytes": 4_000_000,
        "duration_s": 250.0,
        "first_seen_us": START_US,
        "changed_us": START_US,
        "generation": generation,
        **values,
    }


def podcast(podcast_key: int, generation: int, **values: object) -> Row:
    """A PODCASTS row."""
    return {
        "podcast_key": podcast_key,
        "feed_url": f"https://feeds.example/{podcast_key}.xml",
        "original_url": f"https://feeds.example/{podcast_key}.xml",
        "podcast_guid": f"guid-of-{podcast_key}",
        "guid_source": "derived",
        "title": f"Podcast {podcast_key}",
        "episode_count": 1,
        "newest_us": START_US,
        "oldest_us": START_US,
        "changed_us": START_US,
        "generation": generation,
        **values,
    }


def polled(podcast_key: int, **values: object) -> Row:
    """A STATE row after a good poll."""
    return {
        "podcast_key": podcast_key,
        "feed_url": f"https://feeds.example/{podcast_key}.xml",
        "sequence": 1,
        "polled_us": START_US,
        "fetched_us": START_US,
        "status": 200,
        "polls": 1,
        "failures": 0,
        "tier": "active",
        "tier_reason": "publishes daily",
        "next_due_us": START_US + HOUR_US,
        "publications_us": [],
        **values,
    }


def registered(podcast_key: int, *labels: str, **values: object) -> Row:
    """A REGISTERED row."""
    return {
        "podcast_key": podcast_key,
        "shard": podcast_key & 255,
        "feed_url": f"https://feeds.example/{podcast_key}.xml",
        "show_id": f"show-{podcast_key}",
        "podcast_guid": f"guid-of-{podcast_key}",
        "state": "active",
        "since_us": START_US,
        "tenants": ["us"],
        "labels": sorted(labels),
        **values,
    }


def change(podcast_key: int, sequence: int, what: str, detected_us: int, **values: object) -> Row:
    """A CHANGES row; `fields` and `record` as Python values."""
    told = {
        name: feeds.canonical_json(value) for name, value in values.items() if name in ("fields", "record")
    }
    return {
        "podcast_key": podcast_key,
        "sequence": sequence,
        "detected_us": detected_us,
        "change": what,
        "is_minor": False,
        "fields": "[]",
        "shard": podcast_key & 255,
        **values,
        **told,
    }


def commit(
    lake: Lake,
    generation: int,
    podcasts: Sequence[Row] = (),
    episodes: Sequence[Row] = (),
    items: Sequence[Row] = (),
    changes: Sequence[Row] = (),
) -> None:
    """What one sweep brings, one file a shard and table, as ingest/feeds/state.py lays them out."""
    tables: list[tuple[str, Schema, Sequence[Row]]] = [
        ("podcasts", feeds.PODCASTS, podcasts),
        ("episodes", feeds.EPISODES, episodes),
        ("items", feeds.ITEMS, items),
    ]
    for table, schema, rows in tables:
        for shard, mine in _by_shard(rows).items():
            path = lake.root / "catalog" / f"shard={shard:03}" / table / f"{generation:010}.parquet"
            write_parquet(_frame(mine, schema, generation), path)
    for shard, mine in _by_shard(changes).items():
        by_day = defaultdict(list)
        for row in mine:
            by_day[datetime.fromtimestamp(row["detected_us"] / 1e6, UTC).date()].append(row)
        for day, of_day in by_day.items():
            path = lake.root / "changes" / f"day={day}" / f"{shard:03}-{generation:010}.parquet"
            write_parquet(_frame(of_day, feeds.CHANGES, generation), path)


def compact(lake: Lake, generation: int, keep_older: bool = False) -> None:
    """All versions of episodes in one file a shard."""
    for folder in (lake.root / "catalog").glob("shard=*/episodes"):
        files = sorted(folder.glob("[0-9]*.parquet"))
        if files:
            merged = pl.concat(pl.read_parquet(path, hive_partitioning=False) for path in files)
            merged = merged.sort("generation").unique(["podcast_key", "episode_key"], keep="last")
            if not keep_older:
                shutil.rmtree(folder)
            write_parquet(merged, folder / f"{generation:010}.all.parquet")


def set_state(lake: Lake, rows: Sequence[Row]) -> None:
    """The crawl state of the shards of these rows, which it replaces."""
    for shard, mine in _by_shard(rows).items():
        write_parquet(
            _frame(mine, feeds.STATE, 0), lake.root / "catalog" / f"shard={shard:03}" / "state.parquet"
        )


def set_registered(lake: Lake, rows: Sequence[Row]) -> None:
    """The registry's view, which it replaces."""
    write_parquet(_frame(rows, feeds.REGISTERED, 0), lake.registered_path)


def _by_shard(rows: Sequence[Row]) -> dict[int, list[Row]]:
    shards: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        shards[feeds.shard_of(row["podcast_key"])].append(row)
    return shards


def _frame(rows: Sequence[Row], schema: Schema, generation: int) -> pl.DataFrame:
    known = {name: dtype for name, dtype in schema.items() if any(name in row for row in rows)}
    stamped = [{"generation": generation, **row} for row in rows]
    types = known | ({"generation": pl.Int64} if "generation" in schema else {})
    return conform(pl.DataFrame(stamped, schema=types), schema).collect()
