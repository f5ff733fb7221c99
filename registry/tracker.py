"""The registry as a sweep of feeds sees it: what is tracked, what was noticed, which shards are ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import polars as pl
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from ingest.feeds.schema import Record, Tier
from ingest.feeds.visit import DEREGISTERED, Notice
from ingest.lake import utc_now_us
from registry import hints, leases, outbox, podcasts, shards
from registry.shards import Seen
from registry.tables import PodcastState

LEASE_S = 120.0
_COLUMNS = ("podcast_key", "feed_url", "state", "podcast_guid")
_STATES = {Tier.GONE.value: PodcastState.GONE, Tier.DEAD.value: PodcastState.DEAD}


class LeasedShards:
    """The shards this process holds, as ingest.feeds.sweep.Tracker. Made by `leased`."""

    def __init__(self, engine: Engine, lake_root: Path, held: Sequence[leases.Lease]) -> None:
        self._engine = engine
        self._lake_root = lake_root
        self._leases = {lease.shard: lease for lease in held}
        self._seen: dict[int, Seen] = {}  # of the shards as they were read
        self._tracked: dict[int, pl.DataFrame | None] = {}
        self._hints: dict[int, list[hints.Hint]] = {}
        self._committing: set[int] = set()

    @property
    def shards(self) -> list[int]:
        """In the order in which they were wanted."""
        return list(self._leases)

    def tracked(self, shard: int, generation: int) -> pl.DataFrame | None:
        """podcast_key, feed_url, state, podcast_guid, is_learnt of all podcasts of the shard; None: nothing
        is new since the last sweep that took all in.

        Where the worker before did not come to give the shard back, it may have committed what it never
        told the registry: then nothing of the shard counts as learnt.
        """
        was_given_back = self._leases[shard].was_given_back
        self._seen[shard] = shards.seen_of(self._engine, shard)
        tracked = None
        if not (self._seen[shard].is_all(generation) and was_given_back):
            tracked = podcasts.tracked(self._engine, shard, _COLUMNS).with_columns(
                is_learnt=pl.col("podcast_guid").is_not_null() & was_given_back
            )
        self._tracked[shard] = tracked
        return tracked

    def notices(self, shard: int) -> list[Notice]:
        """The newest notice of each podcast that has one; what we were asked for goes before."""
        self._hints[shard] = hints.pending(self._engine, [shard])
        newest: dict[int, Notice] = {}
        for found in self._hints[shard]:
            is_publishers = found.source in hints.PUBLISHERS
            notice = Notice(found.podcast_key, found.noticed_us, found.source == hints.ASKED, is_publishers)
            known = newest.get(found.podcast_key, notice)
            later = max(known, notice, key=lambda one: (one.is_asked, one.noticed_us))
            newest[found.podcast_key] = replace(
                later, is_publishers=known.is_publishers or notice.is_publishers
            )
        return list(newest.values())

    def holds(self, shard: int) -> bool:
        """Whether no other worker has taken the shard; if so, a commit follows, and then `concluded`."""
        self._committing.add(shard)
        return leases.holds(self._engine, self._leases[shard], utc_now_us())

    def concluded(
        self, shard: int, generation: int, states: Sequence[Record], records: Sequence[Record]
    ) -> None:
        """Take over addresses, states and guids; tell of the changes; forget what was acted on."""
        lease = self._leases[shard]
        tracked, seen = self._tracked.pop(shard), self._seen.pop(shard)
        if tracked is None:
            keys = [row["podcast_key"] for row in states]
            tracked = podcasts.tracked(self._engine, shard, _COLUMNS, keys)
        learnt = _news(states, records, tracked)
        try:
            changed = podcasts.record_crawl(self._engine, learnt, lease) if learnt else 0
        except leases.LeaseLost:
            return  # we slept: who has the shard now found it not given back, learns and tells all of it
        outbox.hand_over(self._engine, self._lake_root, shard, utc_now_us())
        self._saw(shard, generation, seen, changed > 0)
        if acted_on := self._hints.pop(shard):
            hints.settle(self._engine, acted_on)
        del self._leases[shard]
        self._committing.discard(shard)
        leases.release(self._engine, [lease])

    def _saw(self, shard: int, generation: int, before: Seen, is_changed: bool) -> None:
        """What we changed ourselves is no news to the next sweep, unless others changed something, too."""
        now = shards.seen_of(self._engine, shard)
        is_ours = is_changed and now.version == before.version + 1
        version = now.version if is_ours else before.version
        if (version, generation) != (now.seen, now.generation):
            shards.saw(self._engine, shard, version, generation)

    def keep(self, held: Sequence[leases.Lease]) -> None:
        """The leases as they were renewed; those given back meanwhile are not ours any more."""
        self._leases.update({lease.shard: lease for lease in held if lease.shard in self._leases})

    def held(self) -> list[leases.Lease]:
        return list(self._leases.values())

    def end(self) -> None:
        """Leave the shards that were not concluded. Where a commit may lie untold, of ours or of the worker
        before us, the next worker is to know.
        """
        held = self.held()
        untold = [each for each in held if each.shard in self._committing or not each.was_given_back]
        leases.abandon(self._engine, untold)
        leases.release(self._engine, [each for each in held if each not in untold])


def _news(
    states: Sequence[Record], records: Sequence[Record], tracked: pl.DataFrame
) -> list[podcasts.Crawled]:
    """Where STATE and PODCASTS rows say something else than the registry."""
    keys = pl.Series([row["podcast_key"] for row in states], dtype=pl.Int64)
    rows = tracked.filter(pl.col("podcast_key").is_in(keys.implode()))
    known = {row["podcast_key"]: row for row in rows.iter_rows(named=True)}
    guids = {row["podcast_key"]: (row["podcast_guid"], row["guid_source"] == "declared") for row in records}
    news = []
    for row in states:
        ours = known.get(row["podcast_key"])
        if ours is None or ours["state"] == PodcastState.DEREGISTERED or row["tier_reason"] == DEREGISTERED:
            continue
        state = _STATES.get(row["tier"] or "", PodcastState.ACTIVE)
        reason = row["tier_reason"] if state is not PodcastState.ACTIVE else None
        guid, is_declared = guids.get(row["podcast_key"], (None, False))
        if (ours["feed_url"], ours["state"]) != (row["feed_url"], state) or (
            guid and podcasts.guid_of(ours["podcast_guid"], guid, is_declared) != ours["podcast_guid"]
        ):
            news.append(
                podcasts.Crawled(
                    row["podcast_key"],
                    feed_url=row["feed_url"],
                    podcast_guid=guid,
                    is_guid_declared=is_declared,
                    state=state,
                    reason=reason,
                )
            )
    return news


@contextmanager
def leased(
    engine: Engine,
    lake_root: Path,
    wanted: Sequence[int],
    at_most: int | None = None,
    lease_s: float = LEASE_S,
) -> Iterator[LeasedShards]:
    """Those of the wanted shards that nobody works on: ours, renewed until the end, then released."""
    held = leases.claim(engine, leases.owner_name(), wanted, lease_s, utc_now_us(), at_most)
    tracker = LeasedShards(engine, lake_root, held)
    over = Event()

    def renew() -> None:
        while not over.wait(lease_s / 4):
            # A registry that is away: renewed the next time; what another took meanwhile is not committed.
            with suppress(SQLAlchemyError):
                tracker.keep(leases.renew(engine, tracker.held(), lease_s, utc_now_us()))

    renewing = Thread(target=renew, daemon=True)
    renewing.start()
    try:
        yield tracker
    finally:
        over.set()
        renewing.join()
        tracker.end()
