"""A version made from the one before, over real builds: what is published is what the warehouse holds."""

from __future__ import annotations

import random
from pathlib import Path

import duckdb
import pytest

from ingest.lake import Lake
from ingest.settings import Settings
from orchestration.constants import WHOLE_TAG
from orchestration.warehouse import changed_days
from serving.change import NOTHING, Change, State
from serving.publish import Publication, publish
from tests.dbt.lakes import add_file, catalog, dbt, marts, random_requests, set_catalog

# The marts that a batch's build leaves alone; test_locations holds the tag against the graph.
WHOLE = ("dim_podcasts", "dim_podcasts_history", "fct_attribution_gross", "fct_collaboration_cohorts",
         "fct_collaboration_daily", "fct_collaboration_lift", "fct_collaboration_overlaps",
         "fct_episode_listeners", "fct_episode_pacing", "fct_feed_health", "fct_metadata_changes",
         "fct_new_listener_sources", "fct_partner_lift", "fct_reconciliation_daily", "fct_show_dimensions",
         "fct_show_lift_by_type", "fct_show_lift_monthly", "fct_show_listeners", "fct_show_pacing",
         "fct_show_reconciliation_daily", "rpt_leads")  # fmt: skip


def built(settings: Settings, lake: Lake, window: str, is_whole: bool) -> Publication:
    """One build and its publication, as the two assets do them."""
    before = State.of(settings.warehouse)
    scope = [] if is_whole else ["--exclude", f"tag:{WHOLE_TAG}"]
    dbt(lake, settings.warehouse, window, "run", *scope)
    after = State.of(settings.warehouse)
    assert after is not None
    kept = () if is_whole else WHOLE
    change = Change(before or NOTHING, after, changed_days(settings.warehouse), kept, window)
    return publish(settings.warehouse, settings.published_dir, 3, window=window, change=change)


def assert_published(done: Publication, settings: Settings) -> None:
    """Database and Parquet of the version hold the warehouse's marts, row for row."""
    in_warehouse = marts(settings.warehouse)
    with duckdb.connect(str(done.database), read_only=True) as con:
        for mart, wanted in in_warehouse.items():
            assert sorted(con.execute(f"select * from {mart}").fetchall(), key=repr) == wanted, mart
    for table in done.tables:
        paths = [str(done.path / part.file) for part in table.files]
        found = duckdb.sql(f"select * from read_parquet({paths})").fetchall() if paths else []
        assert sorted(found, key=repr) == in_warehouse[table.name], table.name


@pytest.mark.parametrize("window", ["calendar", "last_touch"])
def test_batches_late_files_and_catalogues_are_published_as_a_whole_copy_would_be(
    tmp_path: Path, window: str
) -> None:
    settings = Settings(data=tmp_path)
    lake, rng = Lake(settings.lake_dir), random.Random(window)
    rows = sorted(random_requests(rng, 500, days=9), key=lambda row: row["started_us"])
    late = rows[3::17]
    in_time = [row for row in rows if row not in late]
    set_catalog(lake, catalog([0, 1]))
    add_file(lake, f"{1:032x}", in_time[:250])
    assert_published(built(settings, lake, window, is_whole=True), settings)
    incrementally = 0
    for number, (start, is_whole) in enumerate([(250, False), (330, False), (400, True), (450, False)], 2):
        add_file(lake, f"{number:032x}", in_time[start : start + 80])
        done = built(settings, lake, window, is_whole)
        incrementally += not done.is_whole
        assert_published(done, settings)
    add_file(lake, f"{50:032x}", late)  # up to nine days late
    done = built(settings, lake, window, is_whole=False)
    incrementally += not done.is_whole
    assert_published(done, settings)
    set_catalog(lake, catalog([0, 1, 2]))  # an enclosure finds its episode
    assert_published(built(settings, lake, window, is_whole=False), settings)
    for day in lake.event_days()[:2]:
        lake.record_restated(day, "r", 1)
    assert_published(built(settings, lake, window, is_whole=True), settings)
    assert incrementally == 5, "the way that is tested here was not taken"


def test_another_window_rule_is_copied_whole(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    lake = Lake(settings.lake_dir)
    set_catalog(lake, catalog())
    add_file(lake, f"{1:032x}", random_requests(random.Random(1), 200))
    built(settings, lake, "calendar", is_whole=True)
    done = built(settings, lake, "first_touch", is_whole=True)
    assert done.is_whole
    assert_published(done, settings)
