"""One pass over the hubs that feeds name: who is to tell us of changes is asked, and asked again in time."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
from sqlalchemy import Engine

from ingest.feeds.connector import named_hosts
from ingest.feeds.guard import Guard
from ingest.feeds.schema import SHARDS
from ingest.feeds.sources import websub
from ingest.feeds.sources.budget import Budget
from ingest.feeds.sources.calls import Calls, SourceUnavailable, guarded_client
from ingest.feeds.sources.settings import BUDGET_FILE, FeedSources, WebSub
from ingest.feeds.sources.values import as_url
from ingest.feeds.state import folder_of, table_files
from ingest.lake import reading, utc_now_us
from ingest.settings import Settings
from registry import hubs
from registry.database import connected
from registry.hubs import Hub, HubSubscription

_AT_ONCE = 8
_MOST_TOPIC_CHARS = 4_096


@dataclass
class HubsAsked:
    """What a pass came to."""

    wanted: int = 0  # podcasts whose feed names a hub
    asked: int = 0
    failed: int = 0
    forgotten: int = 0  # no longer wanted
    left: int = 0  # due, but the time or a hub's budget was over
    reasons: list[str] = field(default_factory=list)  # of the first failures


def websub_settings(settings: Settings) -> WebSub | None:
    """Those of subscribing to hubs; None: it is not switched on. Raises SettingError."""
    found = FeedSources.read(settings).websub
    return found if found.on and found.callback is not None else None


def ask_hubs(
    settings: Settings,
    budget_s: float,
    clock: Callable[[], int] = utc_now_us,
    environ: Mapping[str, str] = os.environ,
) -> HubsAsked:
    """Ask the hubs of all podcasts that are polled where that is due, for `budget_s` at most.

    Raises SettingError; a registry that fails raises what SQLAlchemy does.
    """
    how = websub_settings(settings)
    if how is None or how.callback is None:
        return HubsAsked()
    master = how.master(environ)
    with connected(settings.registry, settings.data) as engine:
        named = named_hubs(settings.lake_dir)
        polled = hubs.polled(engine)
        wanted = {key: hub for key, hub in named.items() if key in polled}
        known = {each.podcast_key: each for each in hubs.every(engine)}
        done = HubsAsked(wanted=len(wanted))
        if over := known.keys() - wanted.keys():
            hubs.forget(engine, over)
            done.forgotten = len(over)
        now_us = clock()
        due = sorted(
            (key for key, hub in wanted.items() if _is_due(known.get(key), hub, now_us)),
            key=lambda key: known[key].next_us if key in known else 0,
        )
        asking = _Asking(
            settings, engine, how, how.callback, master, clock, time.monotonic() + budget_s, done
        )
        asyncio.run(asking.run({key: wanted[key] for key in due}))
    return done


def named_hubs(lake_root: Path) -> dict[int, Hub]:
    """podcast_key → the hub and topic that its feed names."""
    columns = ["podcast_key", "hub_url", "self_url", "feed_url", "generation"]
    found: dict[int, Hub] = {}
    if not (lake_root / "catalog").is_dir():
        return found
    with reading(lake_root):
        for shard in range(SHARDS):
            files = table_files(folder_of(lake_root, shard), "podcasts")
            if not files:
                continue
            rows = pl.scan_parquet(files, hive_partitioning=False).select(columns).collect()
            newest = rows.sort("generation", maintain_order=True).unique("podcast_key", keep="last")
            for key, hub_url, self_url, feed_url, _ in newest.iter_rows():
                hub, topic = as_url(hub_url), self_url or feed_url
                if hub is not None and topic and len(topic) <= _MOST_TOPIC_CHARS:
                    found[key] = Hub(hub, topic)
    return found


def _is_due(known: HubSubscription | None, hub: Hub, now_us: int) -> bool:
    return known is None or (known.hub, known.topic) != (hub.hub, hub.topic) or known.next_us <= now_us


@dataclass
class _Asking:
    settings: Settings
    engine: Engine
    how: WebSub
    callback: str
    master: str
    clock: Callable[[], int]
    until: float
    done: HubsAsked

    async def run(self, due: Mapping[int, Hub]) -> None:
        guard = Guard(named_hosts(self.settings.feed_test_hosts))
        places = asyncio.Semaphore(_AT_ONCE)
        async with guarded_client("WebSub", guard.open_socket) as http:

            async def one(key: int, hub: Hub) -> None:
                async with places:
                    budget = Budget(
                        self.settings.data / BUDGET_FILE, websub.budget_name(hub.hub), self.how.limits
                    )
                    if time.monotonic() > self.until or budget.free_at_us(self.clock()) > self.clock():
                        self.done.left += 1
                        return
                    await self._ask(Calls(websub.budget_name(hub.hub), http, budget), key, hub)

            await asyncio.gather(*(one(key, hub) for key, hub in due.items()))

    async def _ask(self, calls: Calls, key: int, hub: Hub) -> None:
        await asyncio.to_thread(hubs.begin, self.engine, {key: hub}, self.clock())
        lease_s = round(self.how.lease_days * 86_400)
        wanted = websub.subscription(hub.hub, hub.topic, key, self.callback, self.master, lease_s=lease_s)
        try:
            await websub.request(calls, wanted)
            self.done.asked += 1
        except SourceUnavailable as error:
            self.done.failed += 1
            if len(self.done.reasons) < 10:
                self.done.reasons.append(f"{key}: {error}")
            reason = f"{error.reason}: {error.detail}"
            await asyncio.to_thread(
                hubs.fail, self.engine, key, hub.topic, self.clock(), reason, error.until_us
            )
