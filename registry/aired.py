"""What the lake knows that collaborations are judged by: episodes and their air dates, the first day."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import polars as pl
from sqlalchemy import Engine

from ingest.feeds.schema import shard_of
from ingest.feeds.state import find, folder_of, table_files
from ingest.lake import Lake, reading
from ingest.settings import Settings
from registry import podcasts
from registry.collaborating import Aired, Ground

_REMEMBERED_PODCASTS = 256  # a file of collaborations names the same partners again and again
_REMEMBERED_NAMES = 4096


class Airings:
    """The episodes of polled podcasts; what was looked up once is remembered, and not looked up again."""

    def __init__(self, lake_root: Path) -> None:
        self.of = lru_cache(_REMEMBERED_PODCASTS)(lambda key: aired(lake_root, key))


def aired(lake_root: Path, podcast_key: int) -> Mapping[str, Aired] | None:
    """guid → episode, of all that were ever seen of a podcast; None: no feed of it was ever read.

    Of two that had one guid, one after the other, the one that is still in the feed, else the later one.
    """
    with reading(lake_root):
        state = find(lake_root, podcast_key)
        if state is None or state["fetched_us"] is None:
            return None
        files = table_files(folder_of(lake_root, shard_of(podcast_key)), "episodes")
        if not files:
            return {}
        rows = (
            pl.scan_parquet(files, hive_partitioning=False)
            .filter(pl.col("podcast_key") == podcast_key)
            .select("episode_key", "guid", "published_us", "title", "last_seen_us", "generation")
            .collect()
        )
    newest = rows.sort("generation", maintain_order=True).unique(
        "episode_key", keep="last", maintain_order=True
    )
    in_order = newest.sort("last_seen_us", nulls_last=True, maintain_order=True)
    return {
        row["guid"]: Aired(row["episode_key"], row["published_us"], row["title"])
        for row in in_order.iter_rows(named=True)
    }


def ground(engine: Engine, settings: Settings, now_us: int) -> Ground:
    """What this installation knows, for registry.collaborating.wish; good for the length of a command."""
    lake = Lake(settings.lake_dir)
    return Ground(
        find=lru_cache(_REMEMBERED_NAMES)(lambda what: podcasts.find(engine, what)),
        episodes=Airings(lake.root).of,
        first_day=min(lake.event_days(), default=None),
        keep_days=settings.keep_days,
        now_us=now_us,
    )
