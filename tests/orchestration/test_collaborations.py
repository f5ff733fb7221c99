"""Collaborations on their way from the registry to the marts."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from ingest.settings import Settings
from orchestration.ingest_location import defs
from orchestration.resources import Installation
from registry.aired import ground
from registry.collaborating import wish
from registry.collaborations import add, end, export_collaborations
from registry.database import connect
from registry.podcasts import Registration, register
from tests.registry.collaboration_rows import NOW_US, A, B, written


def test_the_marts_hear_of_a_collaboration_although_no_feed_was_ever_polled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARSHOT_DATA", str(tmp_path))
    settings = Settings.from_env()
    job = defs.resolve_job_def("look_at_feeds")
    with dg.instance_for_test() as instance:

        def told() -> int:
            events = job.execute_in_process(instance=instance).get_asset_materialization_events()
            return [event.asset_key for event in events].count(dg.AssetKey("collaborations"))

        assert told() == 0  # of none there is nothing to tell
        engine = connect(settings.registry, settings.data)
        register(engine, [Registration(url=A), Registration(url=B)], NOW_US)
        assert told() == 0
        wanted, _ = wish(written(), ground(engine, settings, NOW_US))
        ((recorded, _),) = add(engine, [wanted], NOW_US)
        export_collaborations(settings)  # as if a run had died after its file, before its event
        assert told() == 1
        assert told() == 0
        end(engine, recorded.collaboration_id, NOW_US, NOW_US, is_void=True)
        assert told() == 1  # none again: that is news
        assert told() == 0
        version = instance.get_latest_materialization_event(dg.AssetKey("collaborations"))
        assert version and version.asset_materialization and version.asset_materialization.tags
    assert Installation().lake().collaborations_path.exists()
