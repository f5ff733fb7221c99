"""The latest records, read from the lake."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.feeds.schema import shard_of
from ingest.feeds.state import opened
from serving.metadata.latest import Latest
from tests.serving.metadata.lake import commit, episode, lake, podcast

KEY, NEIGHBOUR = 7, 7 + 256  # of one shard


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return lake(tmp_path / "lake")


def test_the_record_is_that_of_the_last_commit_also_after_it_was_read_before(root: Path) -> None:
    latest = Latest(root)
    commit(root, KEY, podcasts=[podcast(KEY, "First")], episodes=[episode(KEY, 1)])
    assert (latest.podcast(KEY) or {})["title"] == "First"
    commit(
        root, KEY, podcasts=[podcast(KEY, "Second")], episodes=[episode(KEY, 1, title="New"), episode(KEY, 2)]
    )
    assert (latest.podcast(KEY) or {})["title"] == "Second"
    assert latest.episodes(KEY)["title"].to_list() == ["Episode 2", "New"]


def test_a_podcast_that_was_never_read_has_no_record_until_it_is(root: Path) -> None:
    latest = Latest(root)
    assert latest.podcast(KEY) is None
    assert latest.episodes(KEY).height == 0
    commit(root, KEY, podcasts=[podcast(KEY, "First")])
    assert latest.podcast(KEY) is not None
    assert latest.podcast(NEIGHBOUR) is None


def test_compaction_changes_no_record(root: Path) -> None:
    latest = Latest(root)
    for number in range(1, 15):
        commit(root, KEY, podcasts=[podcast(KEY, f"Title {number}")], episodes=[episode(KEY, number)])
    before = latest.podcast(KEY), latest.episodes(KEY)
    with opened(root, shard_of(KEY)) as shard:
        assert set(shard.compact()) >= {"podcasts", "episodes"}
    assert latest.podcast(KEY) == before[0]
    assert latest.episodes(KEY).equals(before[1])


def test_an_episode_is_found_by_its_guid_of_now_and_by_any_url_it_ever_had(root: Path) -> None:
    latest = Latest(root)
    urls = ["https://cdn.example/new.mp3", "https://old.example/old.mp3"]
    commit(root, KEY, episodes=[episode(KEY, 1, guid="before"), episode(KEY, 2)])
    commit(root, KEY, episodes=[episode(KEY, 1, guid="after", enclosure_urls=urls)])
    (key,) = latest.keys_of(KEY, guid="after")
    assert latest.keys_of(KEY, guid="before") == []
    assert latest.keys_of(KEY, enclosure_url="https://old.example/old.mp3") == [key]
    assert latest.keys_of(NEIGHBOUR, guid="after") == []
    assert (latest.episode(KEY, key) or {})["guid"] == "after"
    assert latest.episode(NEIGHBOUR, key) is None
