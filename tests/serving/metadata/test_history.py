"""The history of fields: the marts' part and the lake's part make one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingest.feeds.schema import canonical_json
from serving.metadata.history import Asked, history
from tests.serving.metadata.lake import HOUR_US, NOW_US, change, commit, lake

KEY = 5
TITLES = ["A", "B", "C", "D", "E", "F"]


class Published:
    """A published version with the columns of fct_metadata_changes."""

    def __init__(self, changes: Sequence[dict[str, Any]]) -> None:
        self._database = duckdb.connect()
        self._database.sql(
            """create table fct_metadata_changes (podcast_key bigint, sequence bigint, detected_at timestamp,
            change varchar, episode_key bigint, episode_id varchar, is_minor boolean, field varchar,
            old_value varchar, new_value varchar, generation bigint)"""
        )
        for row in changes:
            self._database.execute(
                "insert into fct_metadata_changes values (?, ?, make_timestamp(?), ?, ?, ?, ?, ?, ?, ?, ?)",
                list(row.values()),
            )

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[dict[str, Any]]:
        found = self._database.execute(sql, list(params))
        names = [one[0] for one in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def published(number: int, old: str, new: str, field: str = "title", **said: Any) -> dict[str, Any]:
    row = {
        "podcast_key": KEY,
        "sequence": number,
        "detected_us": NOW_US + number * HOUR_US,
        "change": "podcast.updated",
        "episode_key": None,
        "guid": None,
        "is_minor": False,
        "field": field,
        "old": old,
        "new": new,
        "generation": number,
    }
    return row | said


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Five changes of a title, a commit each, and beside them a neighbour's of the same shard."""
    root = lake(tmp_path / "lake")
    for number in range(1, 6):
        row = change(KEY, number, old=TITLES[number - 1], new=TITLES[number])
        commit(root, KEY, sequence=number, changes=[row])
    commit(root, KEY + 256, sequence=9, changes=[change(KEY + 256, 9, old="not", new="ours")])
    return root


@pytest.mark.parametrize("known_to_marts", range(6))
def test_the_history_is_the_same_however_far_the_marts_are(root: Path, known_to_marts: int) -> None:
    marts = Published([published(n, TITLES[n - 1], TITLES[n]) for n in range(1, known_to_marts + 1)])
    told = history(root, marts, Asked(KEY, "title"), 100)
    assert told == history(root, None, Asked(KEY, "title"), 100)
    assert [(row["sequence"], row["old"], row["new"]) for row in told] == [
        (n, TITLES[n - 1], TITLES[n]) for n in (5, 4, 3, 2, 1)
    ]
    assert told[-1]["detected_at"] == "2026-09-21T15:13:20.000000Z"


def test_pages_follow_each_other_across_marts_and_lake(root: Path) -> None:
    marts = Published([published(n, TITLES[n - 1], TITLES[n]) for n in (1, 2, 3)])
    found: list[int] = []
    before = None
    while page := history(root, marts, Asked(KEY), 2, before):
        found += [row["sequence"] for row in page]
        before = (page[-1]["sequence"], page[-1]["field"])
    assert found == [5, 4, 3, 2, 1]


def test_fields_of_one_change_are_told_apart(root: Path) -> None:
    fields = canonical_json([{"field": name, "old": None, "new": [name]} for name in ("author", "title")])
    commit(root, KEY, sequence=6, changes=[change(KEY, 6, fields=fields)])
    (newest, *_) = history(root, None, Asked(KEY), 1)
    assert (newest["sequence"], newest["field"], newest["new"]) == (6, "author", '["author"]')
    (then, *_) = history(root, None, Asked(KEY), 1, (6, "author"))
    assert (then["sequence"], then["field"]) == (6, "title")
    assert history(root, None, Asked(KEY, "author"), 9)[0]["sequence"] == 6
    assert len(history(root, None, Asked(KEY, "author"), 9)) == 1


def test_an_episode_has_a_history_of_its_own(root: Path) -> None:
    of_episode = change(KEY, 6, change="episode.updated", episode_key=77, guid="g", old="x", new="y")
    commit(root, KEY, sequence=6, changes=[of_episode])
    assert [row["sequence"] for row in history(root, None, Asked(KEY), 9)] == [5, 4, 3, 2, 1]
    (row,) = history(root, None, Asked(KEY, episode_key=77), 9)
    assert (row["episode_key"], row["episode_guid"], row["new"]) == ("77", "g", "y")
    assert history(root, None, Asked(KEY, of_episodes=True), 9)[0]["sequence"] == 6
    assert history(root, None, Asked(KEY, episode_key=78), 9) == []


def test_owners_are_told_only_as_changed_and_addresses_only_to_who_was_there(root: Path) -> None:
    rows = [
        change(KEY, 6, "owner_email", "a@b.example", "c@d.example"),
        change(KEY, 7, "feed_url", "https://f.example/?token=secret", "https://g.example/"),
        change(KEY, 8, "description", "write to me@home.example", None),
    ]
    commit(root, KEY, sequence=8, changes=rows)

    def told(since_us: int | None) -> list[tuple[Any, Any]]:
        found = history(root, None, Asked(KEY), 3, known_since_us=since_us)
        return [(row["old"], row["new"]) for row in found]

    masked = ("write to ***@home.example", None)
    moved = ("https://f.example/?token=secret", "https://g.example/")
    assert told(None) == told(NOW_US) == [masked, moved, (None, None)]
    assert told(NOW_US + 8 * HOUR_US) == [masked, (None, None), (None, None)]


def test_minor_changes_can_be_left_out(root: Path) -> None:
    commit(root, KEY, sequence=6, changes=[change(KEY, 6, is_minor=True)])
    assert history(root, None, Asked(KEY), 1)[0]["sequence"] == 6
    assert history(root, None, Asked(KEY, with_minor=False), 1)[0]["sequence"] == 5


def test_a_podcast_that_was_never_polled_has_none(root: Path) -> None:
    assert history(root, Published([]), Asked(123456), 9) == []
