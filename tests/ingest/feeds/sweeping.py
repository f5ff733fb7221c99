"""Sweeps over a scripted world, tick by tick, as a process that may be killed.

The simulated clock stands in FOLDER/feeds.clock; a tick moves it on after all that was due is committed.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterable
from pathlib import Path

from earshot.made_up.feeds.clock import SimulatedClock, set_clock
from earshot.made_up.feeds.record import keys_of
from earshot.made_up.feeds.server import make_world
from earshot.made_up.feeds.world import FeedWorld
from ingest.feeds.fetch import Fetcher, FetchSettings
from ingest.feeds.hosters import Pace
from ingest.feeds.parsing import Parsers
from ingest.feeds.schema import SHARDS, shard_of
from ingest.feeds.sweep import Sweep, SweepSettings
from ingest.feeds.urls import feed_url
from ingest.logs.prefixes import PrefixRules
from registry.database import connect
from registry.podcasts import Registration, register
from registry.tracker import leased

TICK_US = 3 * 3600 * 10**6


def register_all(world: FeedWorld, data: Path) -> None:
    wanted: Iterable[Registration] = [
        Registration(url=feed_url(podcast.urls[0])) for podcast in world.podcasts
    ]
    register(connect(None, data), wanted, world.start_us)


def settings(world: FeedWorld, port: int) -> SweepSettings:
    fetch = FetchSettings(
        total_s=3,  # less, and a commit of ours on a busy machine looks like a slow server
        pace=Pace(10_000, 50),
        hosters={},
        max_pause_s=0.001,
        test_hosts=frozenset({"127.0.0.0/8"}),
        resolve=dict.fromkeys(world.hosts, f"127.0.0.1:{port}"),
    )
    return SweepSettings(budget_s=60, tick_s=0, audit_share=0.2, shards_at_once=SHARDS, fetch=fetch)


async def ticks(world: FeedWorld, data: Path, port: int, until_us: int) -> None:
    """Sweep all that is due at each tick until the clock says `until_us`; one line of output a tick."""
    clock = SimulatedClock(data / "feeds.clock")
    engine, prefixes, how = connect(None, data), PrefixRules.built_in(), settings(world, port)
    shards = sorted({shard_of(key) for key in keys_of(world)})
    async with Fetcher(how.fetch) as fetcher, Parsers(1) as parsers:
        while (now_us := clock.now_us()) < until_us:
            with leased(engine, data / "lake", shards) as tracker:
                sweep = Sweep(data / "lake", tracker, how, prefixes, clock.now_us, fetcher, parsers)
                swept = await sweep.run(tracker.shards)
            done = {outcome.shard for outcome in swept.outcomes}
            print(now_us, swept.total("polled"), flush=True)
            if done == set(shards) and not swept.left:
                set_clock(data / "feeds.clock", now_us + TICK_US)


if __name__ == "__main__":
    spec, folder, port_text, until_text = sys.argv[1:]
    asyncio.run(ticks(make_world(json.loads(spec)), Path(folder), int(port_text), int(until_text)))
