"""The scripted world through the real poller: its changes are detected exactly, whatever is killed when."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import polars as pl

from earshot.feed_casting import KINDS
from earshot.feed_server import make_world, running
from earshot.feed_truth import expected_changes, observed
from earshot.feed_world import FeedWorld
from ingest.feeds.schema import CHANGES, SHARDS
from ingest.feeds.state import folder_of, lay_out, read_state
from tests.ingest.feeds.sweeping import TICK_US, keys_of, register_all

DAY_US = 86_400 * 10**6


def changes(data: Path) -> pl.DataFrame:
    files = sorted((data / "lake" / "changes").glob("day=*/*-*.parquet"))
    return pl.concat([pl.DataFrame(schema=CHANGES), *map(pl.read_parquet, files)])


class Polls:
    """When each podcast was polled with its result committed, collected while nothing runs."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self.of: dict[int, set[int]] = defaultdict(set)

    def collect(self) -> None:
        for shard in range(SHARDS):
            folder = folder_of(self._data / "lake", shard)
            if not folder.exists():
                continue
            lay_out(self._data / "lake", shard)
            for key, polled_us in read_state(folder).select("podcast_key", "polled_us").iter_rows():
                if polled_us is not None:
                    self.of[key].add(polled_us)


def play(spec: dict[str, object], data: Path, days: float, kills: int) -> FeedWorld:
    """The world through `days`, the poller killed `kills` times; then its changes against the truth."""
    data.mkdir()
    world = make_world(spec)
    register_all(world, data)
    polls = Polls(data)
    left = kills
    with running(spec, data, world.start_us) as server:
        until_us = world.start_us + round(days * DAY_US)
        command = [sys.executable, "-m", "tests.ingest.feeds.sweeping", json.dumps(spec, default=str)]
        command += [str(data), str(server.port), str(until_us)]
        ticks_between = max(1, int(days * DAY_US / TICK_US / (kills + 1)))
        is_over = False
        while not is_over:
            worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            assert worker.stdout is not None
            for told, _ in enumerate(worker.stdout, 1):
                worker.send_signal(signal.SIGSTOP)  # between two looks at the state it may not poll twice
                polls.collect()
                if left and told >= ticks_between:
                    worker.kill()
                    left -= 1
                    break
                worker.send_signal(signal.SIGCONT)
            worker.stdout.close()
            code = worker.wait()
            polls.collect()
            assert code in (0, -signal.SIGKILL)
            is_over = code == 0
    assert left == 0
    compare(world, data, polls)
    return world


def compare(world: FeedWorld, data: Path, polls: Polls) -> None:
    found = changes(data)
    assert found.select("podcast_key", "sequence").is_duplicated().sum() == 0
    told = 0
    for key, number in keys_of(world).items():
        mine = found.filter(pl.col("podcast_key") == key).sort("sequence")
        assert mine["sequence"].to_list() == list(range(1, mine.height + 1)), world.podcasts[number]
        truth = expected_changes(world, number, sorted(polls.of[key]))
        seen = observed(mine.iter_rows(named=True))
        assert seen == truth, (number, "missed", truth - seen, "false", seen - truth)
        told += sum(truth.values())
    assert told > 0


def test_every_change_of_a_day_is_told_once_and_no_other(tmp_path: Path) -> None:
    play({"script": {"seed": 3, "podcasts": len(KINDS), "days": 10}}, tmp_path / "data", 1, kills=0)
