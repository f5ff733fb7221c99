"""Where requests were removed for their age the warehouse alone has their figures."""

from __future__ import annotations

from datetime import date

import dagster as dg
import polars as pl

from ingest.lake import Lake, write_parquet
from ingest.logs.found import find_landing_files
from ingest.logs.intake import take_in
from ingest.schema import KEPT
from orchestration.assets.marts import NEW_ONLY, build_config, dbt_models, published_marts
from orchestration.marts_location import defs
from tests.orchestration.conftest import House


def test_a_lost_warehouse_is_not_built_without_what_was_removed(
    house: House, instance: dg.DagsterInstance
) -> None:
    settings, lake = house.settings, Lake(house.settings.lake_dir)
    house.land("a.log")
    take_in(find_landing_files(settings), settings, lake)
    write_parquet(pl.DataFrame([(date(2026, 5, 1), 0)], schema=KEPT, orient="row"), lake.kept_path)
    (settings.published_dir / "current").mkdir(parents=True)
    done = dg.materialize(
        [dbt_models, published_marts],
        instance=instance,
        resources=defs.resources,
        selection=dg.AssetSelection.assets(*NEW_ONLY),
        run_config=build_config(is_whole=False),
        raise_on_error=False,
    )
    (failure,) = done.get_step_failure_events()
    error = failure.step_failure_data.error
    assert not done.success and error is not None
    assert "before 2026-05-01 were removed" in error.message and "last backup" in error.message
    assert not settings.warehouse.exists()
