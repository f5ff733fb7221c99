"""Shards: a commit is whole or not there, whatever dies when."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from ingest.durable import locked
from ingest.feeds.schema import CHANGES, shard_of
from ingest.feeds.state import (
    Commit,
    LeaseLost,
    Shard,
    changes_of,
    find,
    folder_of,
    lay_out,
    opened,
    table_files,
)
from ingest.lake import READERS_LOCK
from tests.ingest.feeds.rows import change_row, episode_row, items_row, podcast_row, state_row

SHARD = 7
KEY, OTHER = SHARD, SHARD + 256  # both belong to shard 7
DAY_US = 86_400_000_000


def commit_of(n: int, key: int = KEY) -> Commit:
    return Commit(
        state=[state_row(key, sequence=n, polls=n)],
        podcasts=[podcast_row(key, title=f"title {n}")],
        items=[items_row(key, item_hashes=[n], episode_keys=[1], published_us=[None])],
        episodes=[episode_row(key, 1, title=f"episode {n}"), episode_row(key, 100 + n, title="new")],
        changes=[change_row(key, n, detected_us=n * 1_000)],
    )


def changes(root: Path) -> pl.DataFrame:
    files = sorted((root / "changes").glob("day=*/[0-9]*.parquet"))
    return pl.concat([pl.DataFrame(schema=CHANGES), *(pl.read_parquet(file) for file in files)])


def test_what_was_committed_is_read_back_newest_row_of_a_key_first(tmp_path: Path) -> None:
    for n in (1, 2):
        with opened(tmp_path, SHARD) as shard:
            assert shard.commit(commit_of(n)) == n
    with opened(tmp_path, SHARD) as shard:
        assert shard.podcasts([KEY])[KEY]["title"] == "title 2"
        assert shard.items([KEY])["item_hashes"].to_list() == [[2]]
        found = shard.episodes({KEY: [1, 101, 102, 103]})[KEY]
        assert {key: row["title"] for key, row in found.items()} == {1: "episode 2", 101: "new", 102: "new"}
    assert changes(tmp_path).sort("sequence")["sequence"].to_list() == [1, 2]
    assert (find(tmp_path, KEY) or {})["polls"] == 2


def test_the_state_of_podcasts_that_were_not_visited_stays(tmp_path: Path) -> None:
    with opened(tmp_path, SHARD) as shard:
        shard.commit(Commit(state=[state_row(KEY, polls=1), state_row(OTHER, polls=1)]))
        shard.commit(Commit(state=[state_row(OTHER, polls=2)]))
        assert dict(shard.state().select("podcast_key", "polls").iter_rows()) == {KEY: 1, OTHER: 2}
    assert find(tmp_path, KEY + 512) is None


def test_who_lost_the_lease_commits_nothing(tmp_path: Path) -> None:
    with opened(tmp_path, SHARD) as shard:
        shard.commit(commit_of(1))
        for lost in (commit_of(2), Commit(state=[state_row(KEY, polls=9)])):
            with pytest.raises(LeaseLost):
                shard.commit(lost, lambda: False)
    with opened(tmp_path, SHARD) as shard:
        assert shard.generation() == 1
        assert shard.podcasts([KEY])[KEY]["title"] == "title 1"
        assert not list(shard.folder.glob(".*-*"))
    assert changes(tmp_path)["sequence"].to_list() == [1]


def test_a_commit_that_was_not_laid_out_is_laid_out_at_the_next_opening(tmp_path: Path) -> None:
    with opened(tmp_path, SHARD) as shard:
        shard.commit(commit_of(1))
    # As a crash right after the rename leaves it, or in the middle of the moves.
    for moved in range(6):
        n = moved + 2
        with opened(tmp_path, SHARD) as shard:
            shard.commit(commit_of(n))
            generation = f"{n:010}"
            committed = shard.folder / f".commit-{generation}"
            committed.mkdir()
            places = [
                (shard.folder / "podcasts" / f"{generation}.parquet", "podcasts.parquet"),
                (shard.folder / "items" / f"{generation}.parquet", "items.parquet"),
                (shard.folder / "episodes" / f"{generation}.parquet", "episodes.parquet"),
                (tmp_path / "changes" / "day=1970-01-01" / f"007-{generation}.parquet", "changes.parquet"),
                (shard.folder / "state.parquet", "state.parquet"),
            ]
            for place, name in places[moved:]:
                place.rename(committed / name)
        with opened(tmp_path, SHARD) as shard:
            assert shard.generation() == n
            assert shard.podcasts([KEY])[KEY]["title"] == f"title {n}"
        assert sorted(changes(tmp_path)["sequence"]) == list(range(1, n + 1))


def test_changes_lie_by_the_day_they_were_detected_also_across_midnight(tmp_path: Path) -> None:
    commit = Commit(
        state=[state_row(KEY, sequence=2)],
        changes=[change_row(KEY, 1, detected_us=DAY_US - 1), change_row(KEY, 2, detected_us=DAY_US)],
    )
    with opened(tmp_path, SHARD) as shard:
        shard.commit(commit)
    lay_out(tmp_path, SHARD)
    found = {path.parent.name: pl.read_parquet(path)["sequence"].to_list()
             for path in (tmp_path / "changes").glob("*/*.parquet")}  # fmt: skip
    assert found == {"day=1970-01-01": [1], "day=1970-01-02": [2]}
    assert changes_of(tmp_path, SHARD, 0, 1)["sequence"].to_list() == [1, 2]
    assert changes_of(tmp_path, SHARD, 0, 1, since_us=DAY_US)["sequence"].to_list() == [2]


def test_the_changes_of_some_commits_are_those_of_that_shard_and_no_others(tmp_path: Path) -> None:
    for key in (KEY, KEY + 1):  # of the next shard
        with opened(tmp_path, shard_of(key)) as shard:
            for n in range(1, 13):
                is_quiet = n == 7
                shard.commit(Commit(state=[state_row(key)]) if is_quiet else commit_of(n, key))
    every = changes_of(tmp_path, SHARD, 0, 12)
    assert every["generation"].to_list() == [n for n in range(1, 13) if n != 7]
    assert every["podcast_key"].unique().to_list() == [KEY] and dict(every.schema) == CHANGES
    assert changes_of(tmp_path, SHARD, 8, 10, ["generation"]).to_dicts() == [
        {"generation": 9},
        {"generation": 10},
    ]
    for after, up_to in ((12, 12), (6, 7), (12, 20), (5, 3)):
        assert changes_of(tmp_path, SHARD, after, up_to).is_empty()
    assert changes_of(tmp_path / "none", SHARD, 0, 1).is_empty()


def test_merging_keeps_every_newest_row_and_waits_for_readers(tmp_path: Path) -> None:
    with opened(tmp_path, SHARD) as shard:
        for n in range(1, 15):
            shard.commit(commit_of(n))
        before = shard.episodes({KEY: range(200)})
        with locked(tmp_path / READERS_LOCK, shared=True):
            assert "episodes" in shard.compact()
            assert len(list((shard.folder / "episodes").glob("*.parquet"))) == 15
            assert len(table_files(shard.folder, "episodes")) == 1
        assert shard.episodes({KEY: range(200)}) == before
        shard.remove_obsolete()
        assert len(list((shard.folder / "episodes").glob("*.parquet"))) == 1
        shard.commit(commit_of(15))
        assert shard.episodes({KEY: [1]})[KEY][1]["title"] == "episode 15"


def test_a_process_killed_at_any_moment_loses_no_change_and_tells_none_twice(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from tests.ingest.feeds.test_state import SHARD, commit_of\n"
        "from ingest.feeds.state import opened\n"
        "while True:\n"
        "    with opened(Path(sys.argv[1]), SHARD) as shard:\n"
        "        n = shard.generation() + 1\n"
        "        shard.commit(commit_of(n))\n"
        "        shard.compact()\n"
        "    print(n, flush=True)\n"
    )
    told = 0
    for round_ in range(8):
        worker = subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert worker.stdout
        told = max(told, int(worker.stdout.readline()))
        time.sleep(0.003 * round_)  # each dies somewhere else
        os.kill(worker.pid, signal.SIGKILL)
        told = max([told, *map(int, worker.stdout.read().split())])
        worker.wait()
        with opened(tmp_path, SHARD) as shard:
            generation = shard.generation()
            assert generation >= told
            assert shard.podcasts([KEY])[KEY]["title"] == f"title {generation}"
            assert len(shard.episodes({KEY: range(10_000)})[KEY]) == generation + 1
        assert sorted(changes(tmp_path)["sequence"]) == list(range(1, generation + 1))
        assert not list(folder_of(tmp_path, SHARD).glob(".commit-*"))


def test_there_are_shards_0_to_255(tmp_path: Path) -> None:
    for number in (-1, 256):
        with pytest.raises(ValueError, match="there is no shard"):
            Shard(tmp_path, number)
