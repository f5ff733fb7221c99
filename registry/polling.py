"""Polling of what is due, for commands and assets: settings, registry, lake and sweep put together."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from ingest.feeds.fetch import FetchSettings
from ingest.feeds.state import NO_TIME_US, newest_changes
from ingest.feeds.sweep import SweepSettings, Swept, sweep
from ingest.lake import Lake, utc_now_us, write_parquet
from ingest.logs.rules import prefixes_in_force
from ingest.settings import PREFIX, SettingError, Settings
from registry.database import connected
from registry.due import due_shards
from registry.podcasts import registered
from registry.tracker import leased

_CHANGES = "earshot_changes"  # metadata of the export: up to which changes it was made


def sweep_shards(
    settings: Settings,
    shards: Sequence[int],
    budget_s: float,
    progress: Callable[[int, int], None] | None = None,
    clock: Callable[[], int] = utc_now_us,
) -> Swept:
    """Poll what is due in those of `shards` that no other worker holds; what waits longest first."""
    lake = Lake(settings.lake_dir)
    how = replace(SweepSettings(), budget_s=budget_s, fetch=fetch_settings(settings))
    with connected(settings.registry, settings.data) as engine:
        due = due_shards(engine, lake.root, clock())
        by_us = clock() + round(how.tick_s * 1e6)
        wanted = sorted(
            (shard for shard in shards if due.get(shard, NO_TIME_US) <= by_us), key=due.__getitem__
        )
        with leased(engine, lake.root, wanted) as tracker:
            return sweep(
                lake.root, tracker.shards, tracker, how, prefixes_in_force(settings), clock, progress
            )


@dataclass(frozen=True)
class Exported:
    """The registry's podcasts as the marts see them."""

    podcasts: int
    is_new: bool  # they differ from those of the last time, or a podcast's content has changed since


def export_registry(settings: Settings) -> Exported:
    """Write lake/registry/podcasts.parquet for the marts, where it says something new."""
    lake = Lake(settings.lake_dir)
    path, seen = lake.registered_path, {_CHANGES: str(newest_changes(lake.root))}
    with connected(settings.registry, settings.data) as engine:
        frame = registered(engine)
    is_known = pl.read_parquet_metadata(path).get(_CHANGES) == seen[_CHANGES]
    if is_known and frame.equals(pl.read_parquet(path)):
        return Exported(frame.height, is_new=False)
    write_parquet(frame, path, metadata=seen)
    return Exported(frame.height, is_new=True)


def fetch_settings(settings: Settings) -> FetchSettings:
    """Limits and politeness; test hosts and their addresses where settings name them. Raises SettingError."""
    hosts = frozenset(filter(None, (name.strip() for name in settings.feed_test_hosts.split(","))))
    resolve = _addresses(settings.feed_resolve) if settings.feed_resolve else None
    return FetchSettings(contact=settings.publisher_contact, test_hosts=hosts, resolve=resolve)


def _addresses(path: Path) -> dict[str, str]:
    try:
        said = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SettingError(f"setting {PREFIX}FEED_RESOLVE = {path} cannot be used: {error}") from None
    if not (isinstance(said, dict) and all(isinstance(address, str) for address in said.values())):
        raise SettingError(
            f"setting {PREFIX}FEED_RESOLVE = {path} cannot be used: it is no JSON object of host name → "
            "address:port"
        )
    return said
