"""Which shards a sweep would find work in, and since when: without reading their podcasts."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from sqlalchemy import Engine

from ingest.feeds.state import next_due_of
from ingest.lake import utc_now_us
from registry.hints import noticed_shards
from registry.leases import taken
from registry.shards import seen


def due_shards(engine: Engine, lake_root: Path, now_us: int) -> dict[int, int]:
    """shard → when a sweep of it is due (epoch µs), of all that ever held a podcast; those that a worker is
    at are left out.

    That is when its first podcast is; at once where something was registered or noticed, or where a worker
    did not come to an end.
    """
    under_way, left = taken(engine, utc_now_us())
    at_once = left | set(noticed_shards(engine))
    due = {}
    for shard, known in seen(engine).items():
        try:
            generation, due[shard] = next_due_of(lake_root, shard, now_us)
        except (OSError, pl.exceptions.PolarsError):
            continue  # of no use to a sweep: doctor, and whoever reads all shards, tell of it
        if shard in at_once or not known.is_all(generation):
            due[shard] = min(due[shard], now_us)
    return {shard: due_us for shard, due_us in due.items() if shard not in under_way}
