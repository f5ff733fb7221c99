"""The search index: kept up with the lake, and read whatever is typed."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.feeds.schema import shard_of
from ingest.feeds.state import folder_of
from ingest.settings import Settings
from serving.metadata.index import index_path, update
from serving.metadata.search import BadQuery, NoIndex, Search
from tests.serving.metadata.lake import commit, episode, episode_key, lake, podcast

TITLES = {
    1: ("The Daily Grind", "Café Société"),
    2: ("Grinding Gears", "Daily Media"),
    3: ("ゆる言語学ラジオ", "堀元見"),
    -4: ('Quote " Unquote - OR NOT', "Ann"),
}


@pytest.fixture
def installation(tmp_path: Path) -> Settings:
    settings = Settings(data=tmp_path)
    root = lake(settings.lake_dir)
    for key, (title, author) in TITLES.items():
        commit(root, key, podcasts=[podcast(key, title, author)], episodes=[episode(key, 1)])
    return settings


@pytest.fixture
def search(installation: Settings) -> Search:
    update(installation)
    return Search(index_path(installation))


def found(search: Search, text: str, keys: set[int] | None = None) -> list[int]:
    return [hit.podcast_key for hit in search.podcasts(text, keys, 10)]


def test_a_title_counts_more_than_an_author_and_the_last_word_may_be_only_begun(search: Search) -> None:
    assert found(search, "daily") == [1, 2]
    assert set(found(search, "grin")) == {1, 2}
    assert found(search, "grin ") == []  # it is over
    assert found(search, "cafe societe") == [1]
    assert found(search, "daily gears") == [2]


def test_titles_without_spaces_are_found_by_their_parts(search: Search) -> None:
    assert found(search, "言語学") == [3]
    assert found(search, "学言") == []


def test_of_podcasts_one_may_not_see_nothing_is_found(search: Search) -> None:
    assert found(search, "daily", {2, 99}) == [2]
    assert found(search, "daily", set()) == []


def test_pages_follow_each_other(search: Search) -> None:
    first, second = search.podcasts("daily", None, 1), search.podcasts("daily", None, 1, 1)
    assert [hit.podcast_key for hit in (*first, *second)] == [1, 2]


@pytest.mark.parametrize(
    "text",
    ['" OR 1', "NEAR(", "a*b^c", "title:daily", "-daily", "'; drop table names;--", 'x" AND "y', "a\0b"],
)
def test_what_means_something_to_the_index_is_only_text(search: Search, text: str) -> None:
    found(search, text)
    assert found(search, 'quote " unquote OR NOT') == [-4]
    assert found(search, "title:daily") == []


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(max_size=40))
def test_anything_typed_is_searched_for_or_refused(search: Search, text: str) -> None:
    with contextlib.suppress(BadQuery):
        found(search, text)


@pytest.mark.parametrize("text", ["", "  ", "!!!", "x" * 201, "a " * 13, "\ud800 a"])
def test_what_cannot_be_searched_for_is_refused(search: Search, text: str) -> None:
    with pytest.raises(BadQuery):
        found(search, text)


def test_without_an_index_the_message_says_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(NoIndex, match="earshot sweep"):
        found(Search(tmp_path / "none.db"), "daily")


def test_an_update_takes_in_only_what_is_new(installation: Settings, search: Search) -> None:
    assert update(installation).shards == 0
    commit(installation.lake_dir, 1, podcasts=[podcast(1, "Another Name")])
    done = update(installation)
    assert (done.shards, done.podcasts, done.is_rebuilt, done.total) == (1, 1, False, 4)
    assert found(search, "another") == [1]
    assert found(search, "grind daily") == []


def test_a_shard_that_began_anew_loses_what_it_had(installation: Settings, search: Search) -> None:
    commit(installation.lake_dir, 1, podcasts=[podcast(1, "Changed")])
    update(installation)
    shutil.rmtree(folder_of(installation.lake_dir, shard_of(1)))
    commit(installation.lake_dir, 1 + 256, podcasts=[podcast(1 + 256, "In its place")])
    update(installation)
    assert found(search, "changed") == []
    assert found(search, "in its place") == [257]


def test_a_broken_index_or_one_of_another_layout_is_made_anew_under_its_readers(
    installation: Settings, search: Search
) -> None:
    path = index_path(installation)
    assert found(search, "gears") == [2]
    with sqlite3.connect(path) as connection:
        connection.execute("pragma user_version = 0")
    connection.close()
    assert update(installation).is_rebuilt
    assert found(search, "gears") == [2]
    path.resolve().write_bytes(b"no database at all" * 1000)
    assert update(installation).is_rebuilt
    assert found(search, "gears") == [2]
    assert [one.name for one in path.parent.glob("catalogue-*.db")] == ["catalogue-000003.db"]


def test_episodes_are_found_by_key_guid_and_enclosure_among_all_podcasts(search: Search) -> None:
    assert search.episodes("guid-2-1") == [(2, episode_key(2, 1))]
    assert search.episodes("https://cdn.example/-4/1.mp3") == [(-4, episode_key(-4, 1))]
    assert search.episodes(episode_key=episode_key(1, 1)) == [(1, episode_key(1, 1))]
    assert search.episodes("guid-9-9") == []
