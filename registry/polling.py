"""Polling of what is due, for commands and assets: settings, registry, lake and sweep put together."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ingest.feeds.fetch import FetchSettings
from ingest.feeds.sweep import SweepSettings, Swept, sweep
from ingest.lake import Lake, utc_now_us, write_parquet
from ingest.logs.rules import prefixes_in_force
from ingest.settings import Settings
from registry.database import connect
from registry.podcasts import registered
from registry.tracker import leased


def sweep_shards(
    settings: Settings,
    shards: Sequence[int],
    budget_s: float,
    progress: Callable[[int, int], None] | None = None,
    clock: Callable[[], int] = utc_now_us,
) -> Swept:
    """Poll what is due in those of `shards` that no other worker holds."""
    lake = Lake(settings.lake_dir)
    how = replace(SweepSettings(), budget_s=budget_s, fetch=fetch_settings(settings))
    with leased(connect(settings.registry, settings.data), shards) as tracker:
        return sweep(lake.root, tracker.shards, tracker, how, prefixes_in_force(settings), clock, progress)


def export_registry(settings: Settings) -> int:
    """Write lake/registry/podcasts.parquet for the marts; returns how many podcasts."""
    frame = registered(connect(settings.registry, settings.data))
    write_parquet(frame, Lake(settings.lake_dir).registered_path)
    return frame.height


def fetch_settings(settings: Settings) -> FetchSettings:
    """Limits and politeness; test hosts and their addresses where settings name them."""
    hosts = frozenset(filter(None, (name.strip() for name in settings.feed_test_hosts.split(","))))
    resolve = json.loads(Path(settings.feed_resolve).read_text()) if settings.feed_resolve else None
    return FetchSettings(contact=settings.publisher_contact, test_hosts=hosts, resolve=resolve)
