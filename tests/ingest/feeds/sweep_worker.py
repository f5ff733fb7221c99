"""A worker as a process: leases a few shards at a time and sweeps them until nothing is left to do."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from earshot.made_up.feeds.record import keys_of
from earshot.made_up.feeds.server import make_world
from ingest.feeds.schema import shard_of
from ingest.feeds.sweep import sweep
from ingest.logs.prefixes import PrefixRules
from registry.database import connect
from registry.tracker import leased
from tests.ingest.feeds.sweeping import settings

LEASE_S = 2.0
AT_MOST = 8

if __name__ == "__main__":
    spec, folder, port = sys.argv[1:]
    world, data = make_world(json.loads(spec)), Path(folder)
    shards = sorted({shard_of(key) for key in keys_of(world)})
    engine, how = connect(None, data), settings(world, int(port))
    give_up = time.monotonic() + 100
    while time.monotonic() < give_up:
        with leased(engine, data / "lake", shards, AT_MOST, LEASE_S) as tracker:
            if not tracker.shards:  # the other has them all
                time.sleep(0.2)
                continue
            swept = sweep(
                data / "lake", tracker.shards, tracker, how, PrefixRules.built_in(), lambda: world.start_us
            )
        print(json.dumps([outcome.shard for outcome in swept.outcomes if outcome.polled]), flush=True)
        done = {outcome.shard for outcome in swept.outcomes}
        shards = [shard for shard in shards if shard not in done] or sys.exit(0)
