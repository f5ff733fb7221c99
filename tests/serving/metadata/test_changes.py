"""Changes since a cursor: each exactly once."""

from __future__ import annotations

import base64
import random
import shutil
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.feeds.schema import shard_of
from ingest.feeds.state import folder_of
from serving.metadata.changes import BadCursor, Cursor, Page, read
from tests.serving.metadata.lake import HOUR_US, NOW_US, change, commit, lake


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return lake(tmp_path / "lake")


def all_pages(
    root: Path, cursor: Cursor, limit: int, keys: set[int] | None = None
) -> tuple[list[tuple[int, int]], Cursor]:
    """(podcast_key, sequence) of every page until nothing is left; each cursor goes out and comes back."""
    found: list[tuple[int, int]] = []
    while True:
        page: Page = read(root, cursor, limit, keys)
        assert len(page.changes) <= limit
        found += [(row["podcast_key"], row["sequence"]) for row in page.changes]
        cursor = Cursor.of(page.cursor.text())
        if not page.has_more:
            return found, cursor


@pytest.mark.parametrize("limit", [1, 3, 1000])
def test_every_change_comes_once_whatever_the_page_and_the_time(root: Path, limit: int) -> None:
    chance = random.Random(limit)
    keys = [1, 2, 2 + 256, 3, 400]
    sequences = dict.fromkeys(keys, 0)
    committed: list[tuple[int, int]] = []
    cursor, found = Cursor(), list[tuple[int, int]]()
    for _ in range(12):
        key = chance.choice(keys)
        rows = []
        for _ in range(chance.randint(1, 4)):
            sequences[key] += 1
            rows.append(change(key, sequences[key]))
            committed.append((key, sequences[key]))
        commit(root, key, sequence=sequences[key], changes=rows)
        if chance.random() < 0.5:
            more, cursor = all_pages(root, cursor, limit)
            found += more
    more, cursor = all_pages(root, cursor, limit)
    found += more
    assert sorted(found) == sorted(committed)
    assert len(set(found)) == len(found)
    for key in keys:
        mine = [sequence for one, sequence in found if one == key]
        assert mine == sorted(mine)
    assert all_pages(root, cursor, limit)[0] == []


def test_a_change_found_by_a_clock_that_was_set_back_comes_too(root: Path) -> None:
    commit(root, 1, changes=[change(1, 1)])
    _, cursor = all_pages(root, Cursor(), 10)
    commit(root, 1, sequence=2, changes=[change(1, 2, detected_us=NOW_US - 30 * 24 * HOUR_US)])
    assert all_pages(root, cursor, 10)[0] == [(1, 2)]


def test_a_commit_that_spans_midnight_comes_whole(root: Path) -> None:
    day_us = 24 * HOUR_US
    midnight = (NOW_US // day_us + 1) * day_us
    rows = [change(1, 1, detected_us=midnight - 1), change(1, 2, detected_us=midnight)]
    commit(root, 1, sequence=2, changes=rows)
    assert all_pages(root, Cursor(), 1)[0] == [(1, 1), (1, 2)]


def test_of_other_podcasts_nothing_comes_and_of_new_ones_what_follows(root: Path) -> None:
    commit(root, 1, changes=[change(1, 1)])
    commit(root, 1 + 256, changes=[change(1 + 256, 1)])
    found, cursor = all_pages(root, Cursor(), 10, {1})
    assert found == [(1, 1)]
    commit(root, 1 + 256, sequence=2, changes=[change(1 + 256, 2)])
    assert all_pages(root, cursor, 10, {1, 1 + 256})[0] == [(1 + 256, 2)]
    assert all_pages(root, Cursor(), 10, set())[0] == []


def test_since_leaves_out_what_was_detected_before(root: Path) -> None:
    commit(root, 1, sequence=3, changes=[change(1, number) for number in (1, 2, 3)])
    found, _ = all_pages(root, Cursor(since_us=NOW_US + 2 * HOUR_US), 10)
    assert found == [(1, 2), (1, 3)]


def test_a_commit_that_is_still_being_laid_out_comes_when_it_is(root: Path) -> None:
    commit(root, 1, changes=[change(1, 1)])
    state = folder_of(root, shard_of(1)) / "state.parquet"
    before = state.read_bytes()
    commit(root, 1, sequence=2, changes=[change(1, 2)])
    after = state.read_bytes()
    state.write_bytes(before)  # it is moved last
    found, cursor = all_pages(root, Cursor(), 10)
    assert found == [(1, 1)]
    state.write_bytes(after)
    assert all_pages(root, cursor, 10)[0] == [(1, 2)]


def test_a_shard_that_began_anew_is_read_from_its_beginning(root: Path) -> None:
    for number in (1, 2, 3):
        commit(root, 1, sequence=number, changes=[change(1, number)])
    _, cursor = all_pages(root, Cursor(), 10)
    shutil.rmtree(folder_of(root, shard_of(1)))
    for path in (root / "changes").glob("day=*/001-*"):
        path.unlink()
    commit(root, 1, changes=[change(1, 1)])
    assert all_pages(root, cursor, 10)[0] == [(1, 1)]


@given(st.text(max_size=60))
def test_whatever_is_sent_as_a_cursor_is_read_or_refused(text: str) -> None:
    try:
        Cursor.of(text)
    except BadCursor as error:
        assert "cursor" in str(error)


@pytest.mark.parametrize(
    "said",
    [
        "[0,0,[[1,2]],null]",
        '[0,0,[[1,"x"]],null,0]',
        "[0,0,[[1,true]],null,0]",
        "[0,0,[[1]],null,0]",
        "[0,0,{},[1,2,3],0]",
        "[0,0,[],null,1e400]",
        "[99999999999999999999,0,[],null,0]",
    ],
)
def test_a_cursor_that_was_tampered_with_is_refused(said: str) -> None:
    with pytest.raises(BadCursor):
        Cursor.of(base64.urlsafe_b64encode(zlib.compress(said.encode())).decode().rstrip("="))


def test_a_cursor_that_unpacks_to_very_much_is_refused() -> None:
    bomb = zlib.compress(b"[" + b"1," * 10_000_000, 9)
    with pytest.raises(BadCursor):
        Cursor.of(base64.urlsafe_b64encode(bomb).decode()[:8_000])


def test_a_page_is_filled_with_what_is_asked_for(root: Path) -> None:
    rows = [change(1, number, is_minor=number % 2 == 1) for number in range(1, 9)]
    rows.append(change(1, 9, change="podcast.moved"))
    commit(root, 1, sequence=9, changes=rows)
    page = read(root, Cursor(), 3, None, with_minor=False)
    assert [row["sequence"] for row in page.changes] == [2, 4, 6]
    moved = read(root, Cursor(), 3, None, ["podcast.moved"])
    assert ([row["sequence"] for row in moved.changes], moved.has_more) == ([9], False)
