"""What a poller recorded of a scripted world, held against the truth: its polls, and the changes it told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from earshot.made_up.feeds.truth import Change, expected_changes, observed
from earshot.made_up.feeds.world import FeedWorld
from ingest.feeds.schema import CHANGES, SHARDS
from ingest.feeds.state import folder_of, lay_out, read_state
from ingest.feeds.urls import feed_url, podcast_key


def keys_of(world: FeedWorld) -> dict[int, int]:
    """podcast_key → the podcast's number in the world."""
    return {podcast_key(feed_url(podcast.urls[0])): podcast.number for podcast in world.podcasts}


def change_files(lake_root: Path) -> set[Path]:
    """The files of all changes told so far."""
    return set((lake_root / "changes").glob("day=*/*-*.parquet"))


def changes_of(files: Iterable[Path]) -> pl.DataFrame:
    """The changes in them."""
    return pl.concat([pl.DataFrame(schema=CHANGES), *map(pl.read_parquet, sorted(files))])


class Polls:
    """When each podcast was polled with its result committed; look at least once between two polls of one."""

    def __init__(self, lake_root: Path) -> None:
        self._root = lake_root
        self.of: dict[int, set[int]] = defaultdict(set)

    def collect(self, after_crash: bool = False) -> None:
        """Look at the state. after_crash: finish what a dead poller had committed; none may be at work."""
        for shard in range(SHARDS):
            folder = folder_of(self._root, shard)
            if not folder.exists():
                continue
            if after_crash:
                lay_out(self._root, shard)
            for key, polled_us in read_state(folder).select("podcast_key", "polled_us").iter_rows():
                if polled_us is not None:
                    self.of[key].add(polled_us)

    def total(self) -> int:
        return sum(map(len, self.of.values()))


@dataclass(frozen=True)
class Difference:
    """A podcast of which something else was told than what is true."""

    number: int
    missed: dict[Change, int]
    false: dict[Change, int]


def compared(world: FeedWorld, polls: Polls, changes: pl.DataFrame) -> tuple[int, list[Difference]]:
    """(true changes, differences of what was told). Raises ValueError where a sequence has a hole."""
    true, differences = 0, []
    by_key = changes.sort("sequence").partition_by("podcast_key", as_dict=True)
    for key, number in keys_of(world).items():
        mine = by_key.get((key,), changes.clear())
        if mine["sequence"].to_list() != list(range(1, mine.height + 1)):
            raise ValueError(f"the sequence of podcast {number} has holes: {mine['sequence'].to_list()}")
        truth = expected_changes(world, number, sorted(polls.of[key]))
        seen = observed(mine.iter_rows(named=True))
        true += truth.total()
        if seen != truth:
            differences.append(Difference(number, dict(truth - seen), dict(seen - truth)))
    return true, differences
