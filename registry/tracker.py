"""The registry as a sweep of feeds sees it: what is tracked, what was noticed, which shards are ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread

import polars as pl
from sqlalchemy import Engine

from ingest.feeds.schema import Record, Tier
from ingest.feeds.visit import DEREGISTERED, Notice
from ingest.lake import utc_now_us
from registry import hints, leases, podcasts
from registry.tables import PodcastState

LEASE_S = 120.0
_STATES = {Tier.GONE.value: PodcastState.GONE, Tier.DEAD.value: PodcastState.DEAD}


class LeasedShards:
    """The shards this process holds, as ingest.feeds.sweep.Tracker. Made by `leased`."""

    def __init__(self, engine: Engine, held: Sequence[leases.Lease]) -> None:
        self._engine = engine
        self._leases = {lease.shard: lease for lease in held}
        self._tracked: dict[int, pl.DataFrame] = {}
        self._hints: dict[int, list[hints.Hint]] = {}

    @property
    def shards(self) -> list[int]:
        """In the order in which they were wanted."""
        return list(self._leases)

    def tracked(self, shard: int) -> pl.DataFrame:
        """podcast_key, feed_url, state of all podcasts of the shard."""
        columns = ("podcast_key", "feed_url", "state")
        self._tracked[shard] = podcasts.tracked(self._engine, shard, columns)
        return self._tracked[shard]

    def notices(self, shard: int) -> list[Notice]:
        """The newest notice of each podcast that has one."""
        self._hints[shard] = hints.pending(self._engine, [shard])
        newest: dict[int, int] = {}
        for found in self._hints[shard]:
            newest[found.podcast_key] = max(newest.get(found.podcast_key, 0), found.noticed_us)
        return [Notice(*pair) for pair in newest.items()]

    def holds(self, shard: int) -> bool:
        """Whether no other worker has taken the shard."""
        return leases.holds(self._engine, self._leases[shard], utc_now_us())

    def concluded(self, shard: int, crawled: Sequence[Record]) -> None:
        """Take over addresses and states from the rows of a commit; forget what was acted on."""
        learnt = _news(crawled, self._tracked.pop(shard))
        if learnt:
            podcasts.record_crawl(self._engine, learnt)
        if acted_on := self._hints.pop(shard):
            hints.settle(self._engine, acted_on)
        leases.release(self._engine, [self._leases.pop(shard)])

    def keep(self, held: Sequence[leases.Lease]) -> None:
        """The leases as they were renewed; those given back meanwhile are not ours any more."""
        self._leases.update({lease.shard: lease for lease in held if lease.shard in self._leases})

    def held(self) -> list[leases.Lease]:
        return list(self._leases.values())


def _news(crawled: Sequence[Record], tracked: pl.DataFrame) -> list[podcasts.Crawled]:
    """Where a commit says something else than the registry."""
    keys = pl.Series([row["podcast_key"] for row in crawled], dtype=pl.Int64)
    rows = tracked.filter(pl.col("podcast_key").is_in(keys.implode())).iter_rows()
    known = {key: (url, state) for key, url, state in rows}
    news = []
    for row in crawled:
        url, was = known.get(row["podcast_key"], (None, PodcastState.DEREGISTERED.value))
        if was == PodcastState.DEREGISTERED or row["tier_reason"] == DEREGISTERED:
            continue
        state = _STATES.get(row["tier"] or "", PodcastState.ACTIVE)
        if (url, was) != (row["feed_url"], state):
            reason = row["tier_reason"] if state is not PodcastState.ACTIVE else None
            news.append(
                podcasts.Crawled(row["podcast_key"], feed_url=row["feed_url"], state=state, reason=reason)
            )
    return news


@contextmanager
def leased(
    engine: Engine, wanted: Sequence[int], at_most: int | None = None, lease_s: float = LEASE_S
) -> Iterator[LeasedShards]:
    """Those of the wanted shards that nobody works on: ours, renewed until the end, then released."""
    held = leases.claim(engine, leases.owner_name(), wanted, lease_s, utc_now_us(), at_most)
    tracker = LeasedShards(engine, held)
    over = Event()

    def renew() -> None:
        while not over.wait(lease_s / 4):
            tracker.keep(leases.renew(engine, tracker.held(), lease_s, utc_now_us()))

    renewing = Thread(target=renew, daemon=True)
    renewing.start()
    try:
        yield tracker
    finally:
        over.set()
        renewing.join()
        leases.release(engine, tracker.held())
