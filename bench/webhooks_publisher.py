"""Commits changes and hands them over, in a steady stream, as sweeps do."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

from sqlalchemy import Engine

from bench.report import say
from bench.webhooks_sender import Sender
from bench.webhooks_world import CHANGES_EACH, ROUNDS, Podcast
from ingest.feeds.state import Commit, opened
from ingest.lake import utc_now_us
from registry.outbox import hand_over


class Publisher:
    """`shards`: the podcasts of each, before their first change."""

    def __init__(self, engine: Engine, lake: Path, shards: Mapping[int, Sequence[Podcast]]) -> None:
        self._engine, self._lake, self._shards = engine, lake, shards
        self.committed: dict[tuple[int, int], int] = {}  # (podcast_key, sequence) → epoch µs
        self.seconds = 0.0
        self.commits = 0
        self.commits_s = self.hand_overs_s = 0.0  # wall time

    def begin(self) -> None:
        """The podcasts' first fetches, of which nobody is told."""
        for shard, podcasts in self._shards.items():
            now_us = utc_now_us()
            self._write(shard, [podcast.first(now_us) for podcast in podcasts])
        self.committed.clear()
        self.commits, self.commits_s, self.hand_overs_s = 0, 0.0, 0.0

    def stream(self, seconds: float, sender: Sender) -> None:
        """All changes, evenly over so long, or as fast as it goes."""
        visits = [
            (shard, podcasts)
            for number in range(ROUNDS)
            for shard, podcasts in Random(f"bench round {number}").sample(
                list(self._shards.items()), len(self._shards)
            )
        ]
        began = time.monotonic()
        for number, (shard, podcasts) in enumerate(visits):
            time.sleep(max(0.0, began + seconds * number / len(visits) - time.monotonic()))
            now_us = utc_now_us()
            self._write(shard, [podcast.more(CHANGES_EACH // ROUNDS, now_us) for podcast in podcasts])
            sender.check()
            if (number + 1) % max(1, len(visits) // 10) == 0:
                say(f"  {len(self.committed):,} changes after {time.monotonic() - began:.0f} s")
        self.seconds = time.monotonic() - began

    def _write(self, shard: int, commits: Sequence[Commit]) -> None:
        whole = Commit(state=[])
        for commit in commits:
            whole.add(commit)
        began = time.monotonic()
        with opened(self._lake, shard) as held:
            held.commit(whole)
            at_us = utc_now_us()
            held.compact()
        self.committed |= {(row["podcast_key"], row["sequence"]): at_us for row in whole.changes}
        committed = time.monotonic()
        hand_over(self._engine, self._lake, shard, utc_now_us())
        self.commits += 1
        self.commits_s += committed - began
        self.hand_overs_s += time.monotonic() - committed
