"""The search index as an asset: made with the look at feeds, and an event only where something is new."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from ingest.settings import Settings
from orchestration.assets.search import search_index
from orchestration.resources import Installation
from serving.metadata.index import index_path
from serving.metadata.search import Search
from tests.serving.metadata.lake import commit, lake, podcast


def test_what_a_sweep_committed_is_found_after_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARSHOT_DATA", str(tmp_path))
    settings = Settings.from_env()
    root = lake(settings.lake_dir)
    with dg.instance_for_test() as instance:

        def events() -> int:
            done = dg.materialize(
                [search_index], resources={"installation": Installation()}, instance=instance
            )
            assert done.success
            return len(done.get_asset_materialization_events())

        commit(root, 7, podcasts=[podcast(7, "Tide Tables")])
        assert events() == 1
        assert [hit.podcast_key for hit in Search(index_path(settings)).podcasts("tide", None, 9)] == [7]
        assert events() == 0
