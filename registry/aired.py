"""What the lake knows that collaborations are judged by: episodes and their air dates, the first day."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from functools import lru_cache
from pathlib import Path

import polars as pl
from sqlalchemy import Engine

from ingest.feeds.schema import shard_of
from ingest.feeds.state import folder_of, read_state, table_files
from ingest.lake import Lake, reading
from ingest.schema import FileStatus
from ingest.settings import Settings
from registry.collaborating import Aired, Ground
from registry.named import Names

_REMEMBERED_PODCASTS = 256  # a file of collaborations names the same partners again and again
_REMEMBERED_NAMES = 4096


def aired(
    lake_root: Path, podcast_keys: Collection[int], guids: Collection[str] | None = None
) -> dict[int, dict[str, Aired]]:
    """podcast_key → guid → episode, of all that were ever seen of these podcasts, or those of `guids`.

    A podcast of which no feed was ever read is left out. Of two episodes that had one guid, one after the
    other, the one that is still in the feed counts, else the later one.
    """
    found: dict[int, dict[str, Aired]] = {}
    by_shard: dict[int, list[int]] = {}
    for key in podcast_keys:
        by_shard.setdefault(shard_of(key), []).append(key)
    with reading(lake_root):
        for shard, keys in by_shard.items():
            found |= _of_shard(folder_of(lake_root, shard), keys, guids)
    return found


def _of_shard(folder: Path, keys: list[int], guids: Collection[str] | None) -> dict[int, dict[str, Aired]]:
    is_wanted = pl.col("podcast_key").is_in(keys)
    read = read_state(folder).filter(is_wanted, pl.col("fetched_us").is_not_null())["podcast_key"]
    found: dict[int, dict[str, Aired]] = {key: {} for key in read}
    files = table_files(folder, "episodes")
    if not (found and files):
        return found
    # Of the newest rows: an episode that has another guid by now does not answer to the old one.
    is_named = pl.lit(True) if guids is None else pl.col("guid").is_in(list(guids))
    newest = (
        pl.scan_parquet(files, hive_partitioning=False)
        .filter(is_wanted)
        .select("podcast_key", "episode_key", "guid", "published_us", "title", "last_seen_us", "generation")
        .sort("generation", maintain_order=True)
        .unique(["podcast_key", "episode_key"], keep="last", maintain_order=True)
        .filter(is_named)
        .sort("last_seen_us", nulls_last=True, maintain_order=True)
        .collect()
    )
    for row in newest.iter_rows(named=True):
        if (known := found.get(row["podcast_key"])) is not None:
            known[row["guid"]] = Aired(row["episode_key"], row["published_us"], row["title"])
    return found


def ground(engine: Engine, settings: Settings, now_us: int) -> Ground:
    """What this installation knows, for registry.collaborating.wish; good for the length of a command."""
    lake = Lake(settings.lake_dir)
    names = Names(engine, lake.root)
    return Ground(
        find=lru_cache(_REMEMBERED_NAMES)(names.meant),
        episodes=lru_cache(_REMEMBERED_PODCASTS)(lambda key: aired(lake.root, [key]).get(key)),
        first_day=_first_day(lake),
        keep_days=settings.keep_days,
        now_us=now_us,
        told=names.told,
        alike=names.alike,
    )


def _first_day(lake: Lake) -> date | None:
    """Of the first requests ever taken in: those that went for their age stay counted in the marts."""
    days = lake.event_days()
    if lake.first_kept_day() is not None:
        taken = lake.ledger().filter(pl.col("status") == FileStatus.TAKEN.value)
        days += taken["first_us"].drop_nulls().cast(pl.Datetime("us")).dt.date().to_list()
    return min(days, default=None)
