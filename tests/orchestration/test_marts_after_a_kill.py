"""A batch's build on a warehouse whose first whole build was killed."""

from __future__ import annotations

import dagster as dg
import duckdb

from ingest.lake import Lake
from ingest.logs.found import find_landing_files
from ingest.logs.intake import take_in
from orchestration.assets.marts import MADE, last_build
from orchestration.warehouse import lacks_any
from tests.orchestration.built import build_new
from tests.orchestration.conftest import House


def test_what_a_killed_first_build_left_out_is_made_before_a_batch_is_built(
    house: House, instance: dg.DagsterInstance
) -> None:
    settings = house.settings
    house.land("a.log")
    take_in(find_landing_files(settings), settings, Lake(settings.lake_dir))
    duckdb.connect(str(settings.warehouse)).close()  # all that the killed build left: nothing was committed
    assert lacks_any(settings.warehouse, MADE)
    done = build_new(instance)
    assert done.success and not lacks_any(settings.warehouse, MADE)
    assert not last_build(settings).exists(), "the publication would believe that marts were left alone"
