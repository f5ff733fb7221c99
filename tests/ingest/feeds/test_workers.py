"""Several workers on one registry: a shard is polled by one of them, also when another dies."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import polars as pl

from earshot.made_up.feeds.casting import KINDS
from earshot.made_up.feeds.record import keys_of
from earshot.made_up.feeds.server import make_world, running
from tests.ingest.feeds.sweeping import register_all

SPEC = {"script": {"seed": 11, "podcasts": len(KINDS), "days": 2}}


def worker(data: Path, port: int) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "tests.ingest.feeds.sweep_worker",
        json.dumps(SPEC),
        str(data),
        str(port),
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def added(data: Path) -> Counter[int]:
    """podcast_key → how often its history begins."""
    files = list((data / "lake" / "changes").glob("day=*/*.parquet"))
    rows = pl.concat(pl.read_parquet(file) for file in files)
    return Counter(rows.filter(pl.col("change") == "podcast.added")["podcast_key"].to_list())


def test_two_workers_never_poll_the_same_podcast(tmp_path: Path) -> None:
    world = make_world(SPEC)
    register_all(world, tmp_path)
    with running(SPEC, tmp_path, world.start_us) as server:
        workers = [worker(tmp_path, server.port) for _ in range(2)]
        for each in workers:
            said, _ = each.communicate(timeout=120)
            assert each.returncode == 0, said
        polled = Counter((poll.podcast, poll.place) for poll in server.polls())
    assert set(polled.values()) == {1}
    assert {number for number, _ in polled} == set(keys_of(world).values())


def test_what_a_killed_worker_held_is_polled_by_the_other_and_told_once(tmp_path: Path) -> None:
    world = make_world(SPEC)
    register_all(world, tmp_path)
    with running(SPEC, tmp_path, world.start_us) as server:
        dying, staying = worker(tmp_path, server.port), worker(tmp_path, server.port)
        assert dying.stdout is not None
        dying.stdout.readline()
        dying.kill()
        dying.stdout.close()
        dying.wait()
        said, _ = staying.communicate(timeout=120)
        assert staying.returncode == 0, said
        polled = {poll.podcast for poll in server.polls()}
    assert polled == set(keys_of(world).values())
    histories = added(tmp_path)
    assert set(histories.values()) == {1}
