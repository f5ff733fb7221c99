"""The asset that publishes: PostgreSQL follows the files, and what fails there is told, not undone."""

from __future__ import annotations

import dagster as dg
import pytest

from orchestration.assets.marts import published_marts
from orchestration.constants import POSTGRES_CHECK
from orchestration.resources import Installation
from tests.orchestration.conftest import House
from tests.postgres import Postgres, postgres
from tests.serving.test_publish import fill

__all__ = ["postgres"]


def published(instance: dg.DagsterInstance) -> tuple[int, dg.AssetCheckEvaluation]:
    """Version and verdict on PostgreSQL of one run."""
    result = dg.materialize([published_marts], instance=instance, resources={"installation": Installation()})
    (done,) = result.asset_materializations_for_node("published_marts")
    (verdict,) = result.get_asset_check_evaluations()
    assert verdict.check_name == POSTGRES_CHECK
    return int(str(done.metadata["version"].value)), verdict


def test_the_files_are_published_whatever_becomes_of_postgres(
    house: House, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, postgres: Postgres
) -> None:
    house.settings.data.mkdir(parents=True, exist_ok=True)
    fill(house.settings.warehouse, generation=1)
    version, verdict = published(instance)
    assert (version, verdict.passed, verdict.description) == (1, True, "EARSHOT_MARTS_DB is not set")

    monkeypatch.setenv("EARSHOT_MARTS_DB", "postgresql://earshot:s3cret@127.0.0.1:1/marts")
    version, verdict = published(instance)
    assert (version, verdict.passed) == (2, False)
    assert "still has the version before" in str(verdict.description)
    assert "s3cret" not in str(verdict.description)

    monkeypatch.setenv("EARSHOT_MARTS_DB", postgres.url(postgres.create_database()))
    version, verdict = published(instance)
    assert (version, verdict.passed) == (3, True)
    assert str(verdict.description).startswith("42 rows (all of it)")
