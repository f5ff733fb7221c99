"""The API's world: shows × days with their truth, a warehouse, a registry, a catalogue; kept below `.bench/`.

What a show is downloaded a day goes by its rank (`SIZES`), with noise; the last date grows with the version
(api_marts.more_of), so an answer that mixes versions, or says the wrong one, is told from a good one.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from random import Random
from uuid import UUID

import duckdb
import numpy as np
import orjson
import polars as pl

from bench.api_marts import LAST, MADE_BY_BATCH, empty_days, fill_days, fill_shows, first_date, more_of
from bench.report import cache, say
from bench.webhooks_world import Podcast
from ingest.feeds.schema import shard_of
from ingest.feeds.state import Commit, opened
from ingest.feeds.urls import podcast_key
from ingest.lake import utc_now_us
from ingest.settings import Settings
from registry.api_keys import Scope, create
from registry.database import connected
from registry.registration import registration
from registry.registrations import register
from registry.show_access import grant
from serving import versions
from serving.change import NOTHING, Change, State
from serving.contract import read_contract
from serving.copying import text
from serving.empty_marts import write_empty_marts
from serving.metadata.index import update
from serving.publish import Publication, publish

LAYOUT = 2  # of the kept folder: another one is made anew
SHOWS_A_TENANT = 100
A_DAY = 500_000  # downloads of 12,000 shows, about; others in proportion
SIZES = 0.9  # a show's downloads are as its rank to the power of minus so much
WORDS = (
    "amber", "bridge", "cedar", "delta", "ember", "field", "garden", "harbour", "island", "jasmine", "kettle",
    "lantern", "meadow", "north", "orchard", "paper", "quiet", "river", "silver", "tide",
)  # fmt: skip
_RULES = "bench"  # what the publisher compares, so that it goes on from the version before


@dataclass(frozen=True)
class World:
    """`shows` by `days`."""

    shows: int
    days: int

    @property
    def folder(self) -> Path:
        return cache() / f"api-{self.shows}x{self.days}-{LAYOUT}"

    @property
    def settings(self) -> Settings:
        return Settings(data=self.folder)

    @cached_property
    def truth(self) -> np.ndarray:
        """Downloads by show and day, int64, without what versions add."""
        rng = np.random.default_rng(8)
        weights = np.arange(1, self.shows + 1) ** -SIZES
        weights *= A_DAY * self.shows / 12_000 / weights.sum()
        noise = rng.uniform(0.7, 1.3, (self.shows, self.days))
        return np.maximum(1, np.floor(weights[:, None] * noise)).astype(np.int64)

    def downloads(self, number: int, version: int, first: date | None = None, last: date = LAST) -> int:
        """Of a show, from first (None: from the beginning) to last, as that version must tell it."""
        begins = first_date(self.days)
        start = 0 if first is None else max(0, (first - begins).days)
        end = min((last - begins).days + 1, self.days)
        more = more_of(version, number) if start < end == self.days else 0
        return int(self.truth[number, start:end].sum()) + more

    def episodes(self, number: int) -> int:
        return (self.days - 1 + 28 - number % 7) // 7 + 1

    def title(self, number: int) -> str:
        return " ".join((*Random(f"bench title {number}").sample(WORDS, 2), f"{number:05d}"))

    def url(self, number: int) -> str:
        return f"https://feeds-{number % 97:02}.bench.example/shows/{number:06}.xml"

    def podcast_key(self, number: int) -> int:
        return podcast_key(self.url(number))

    @cached_property
    def keys(self) -> list[str]:
        """Of tenants; `tenant_of` is whose show it is."""
        keys: list[str] = orjson.loads((self.folder / "keys.json").read_bytes())
        return keys

    def ready(self) -> float:
        """Make it, unless it is there; the seconds that took."""
        if (self.folder / "keys.json").is_file():
            return 0.0
        shutil.rmtree(self.folder, ignore_errors=True)
        self.settings.published_dir.mkdir(parents=True)
        began = time.monotonic()
        say(f"making a world of {self.shows:,} shows and {self.days} days ...")
        self._make_warehouse()
        say(f"  warehouse after {time.monotonic() - began:.0f} s")
        version = self.publish()
        say(f"  published, {version.total_bytes / 1e9:.2f} GB, after {time.monotonic() - began:.0f} s")
        keys = self._make_catalogue()
        (self.folder / "keys.json").write_bytes(orjson.dumps(keys))
        say(f"  registry and catalogue after {time.monotonic() - began:.0f} s")
        return time.monotonic() - began

    def publish(self) -> Publication:
        """Count the last date anew, as a batch does, and publish the marts.

        Only what it changed is written again, as after any batch; the first is written whole.
        """
        warehouse, version = self.settings.warehouse, versions.next_version(self.settings.published_dir)
        before = State.of(warehouse) or NOTHING
        with closing(duckdb.connect(str(warehouse))) as con:
            con.execute("begin")
            empty_days(con, self.days, [self.days - 1])
            fill_days(con, self.days, version, [self.days - 1])
            con.execute("commit")
        after = State.of(warehouse)
        assert after is not None
        kept = tuple(mart for mart in read_contract() if mart not in MADE_BY_BATCH)
        change = Change(before, after, (LAST,), kept, _RULES)
        return publish(warehouse, self.settings.published_dir, 3, window="calendar", change=change)

    def _make_warehouse(self) -> None:
        warehouse = self.settings.warehouse
        write_empty_marts(warehouse, read_contract())
        daily = self.folder / "daily.parquet"
        number, day = np.indices(self.truth.shape)
        pl.DataFrame(
            {"number": number.ravel(), "day": day.ravel().astype(np.int32), "downloads": self.truth.ravel()}
        ).write_parquet(daily)
        with closing(duckdb.connect(str(warehouse))) as con:
            con.execute(f"set temp_directory = {text(str(self.folder / 'spill'))}")
            con.execute("create schema bench")
            con.execute(f"create table bench.daily as from read_parquet({text(str(daily))})").fetchall()
            for begin in range(0, self.days, 30):
                fill_days(con, self.days, 0, range(begin, min(begin + 30, self.days)))
            fill_shows(con, self.days)
        daily.unlink()

    def _make_catalogue(self) -> list[str]:
        """Registry and lake: each show has a podcast, each hundred a tenant with a key."""
        keys, now_us = [], utc_now_us()
        with connected(None, self.folder) as engine:
            register(
                engine,
                (
                    registration(self.url(number), tenant_of(number), show_id=show_id(number))
                    for number in range(self.shows)
                ),
                now_us,
            )
            for first in range(0, self.shows, SHOWS_A_TENANT):
                shows = [show_id(n) for n in range(first, min(first + SHOWS_A_TENANT, self.shows))]
                keys.append(create(engine, now_us, tenant_of(first), [Scope.READ])[0])
                grant(engine, now_us, tenant_of(first), shows)
        for shard, numbers in self._by_shard().items():
            whole = Commit(state=[])
            for number in numbers:
                whole.add(self._first_fetch(number, now_us))
            with opened(self.settings.lake_dir, shard) as held:
                held.commit(whole)
        update(self.settings)
        return keys

    def _first_fetch(self, number: int, now_us: int) -> Commit:
        commit = Podcast(number, self.url(number), 0).first(now_us)
        for row in commit.podcasts:
            row["title"] = self.title(number)
        return commit

    def _by_shard(self) -> dict[int, Sequence[int]]:
        shards = defaultdict(list)
        for number in range(self.shows):
            shards[shard_of(self.podcast_key(number))].append(number)
        return dict(shards)


def show_id(number: int) -> str:
    """As most shows have one: a podcast:guid. Ids alike in their first 8 characters are asked for at a higher
    price (docs/performance.md): that is all a DuckDB file for 1.x drivers keeps of a string's least and most.
    """
    return str(UUID(hashlib.md5(b"show-%d" % number).hexdigest()))


def tenant_of(number: int) -> str:
    return f"tenant-{number // SHOWS_A_TENANT:03d}"
