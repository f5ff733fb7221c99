"""The world of two rotations, taken in, counted and published once."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.settings import Settings
from serving.publish import publish
from tests.dbt.lakes import dbt
from tests.privacy.rotating_world import taken, write


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Not to be changed: copy it."""
    settings = Settings(data=tmp_path_factory.mktemp("house") / "data", settle_s=0)
    write(settings.landing_dir)
    lake = taken(settings)
    dbt(lake, settings.warehouse, "calendar", "run")
    publish(settings.warehouse, settings.published_dir, 3)
    return settings


@pytest.fixture(scope="session")
def landing(house: Settings) -> Path:
    return house.landing_dir
