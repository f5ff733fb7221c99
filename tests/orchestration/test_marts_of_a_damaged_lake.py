"""A build of a lake whose ledger is damaged stops before it counts, and says what to do."""

from __future__ import annotations

import dagster as dg
import pytest

from ingest.lake import LEDGER_COPY, Lake
from ingest.logs.found import find_landing_files
from ingest.logs.intake import take_in
from tests.orchestration.built import build_new, why_it_failed
from tests.orchestration.conftest import House


@pytest.mark.parametrize("is_gone", [False, True], ids=["damaged", "gone"])
def test_nothing_is_counted_of_a_lake_without_its_ledger(
    house: House, instance: dg.DagsterInstance, is_gone: bool
) -> None:
    settings = house.settings
    house.land("a.log")
    take_in(find_landing_files(settings), settings, Lake(settings.lake_dir))
    (ledger,) = (settings.lake_dir / "files").glob("day=2*/*.parquet")
    ledger.unlink() if is_gone else ledger.write_bytes(ledger.read_bytes()[:-1])
    assert list((settings.lake_dir / LEDGER_COPY).rglob(ledger.name)), "its copy mends it"
    error = why_it_failed(build_new(instance, raise_on_error=False))
    assert ledger.name in error and "`earshot verify --repair`" in error
    assert not settings.warehouse.exists() and not settings.published_dir.exists()
