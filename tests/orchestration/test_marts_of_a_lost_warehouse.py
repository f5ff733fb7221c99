"""Where requests were removed for their age the warehouse alone has their figures."""

from __future__ import annotations

from datetime import date

import dagster as dg
import polars as pl

from ingest.lake import Lake, write_parquet
from ingest.logs.found import find_landing_files
from ingest.logs.intake import take_in
from ingest.schema import KEPT
from tests.orchestration.built import build_new, why_it_failed
from tests.orchestration.conftest import House


def test_a_lost_warehouse_is_not_built_without_what_was_removed(
    house: House, instance: dg.DagsterInstance
) -> None:
    settings, lake = house.settings, Lake(house.settings.lake_dir)
    house.land("a.log")
    take_in(find_landing_files(settings), settings, lake)
    write_parquet(pl.DataFrame([(date(2026, 5, 1), 0)], schema=KEPT, orient="row"), lake.kept_path)
    (settings.published_dir / "current").mkdir(parents=True)
    error = why_it_failed(build_new(instance, raise_on_error=False))
    assert "before 2026-05-01 were removed" in error and "last backup" in error
    assert not settings.warehouse.exists()
