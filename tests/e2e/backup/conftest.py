"""An installation with marts to back up."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from earshot.made_up.world import WorldSpec, build, write, write_catalog
from earshot.pipeline import build_marts
from ingest.catalog import take_in_catalog
from ingest.lake import Lake
from ingest.logs.intake import find_landing_files, take_in
from ingest.settings import Settings
from registry.database import connected
from tests.dbt.lakes import marts
from tests.registry.command_line import typed
from tests.registry.webhook_rows import endpoint

__all__ = ["typed"]

Rows = dict[str, list[tuple[object, ...]]]


def quiet(step: str, done: int, of: int) -> None:
    pass


@dataclass
class House:
    """An installation with marts."""

    settings: Settings
    marts: Rows


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """One without marts; not to be changed."""
    data = tmp_path_factory.mktemp("plain") / "data"
    settings = Settings(data=data, settle_s=0)
    world = build(WorldSpec(shows=4, days=2, lines=2_000))
    write(world, settings.landing_dir)
    write_catalog(world, data / "episodes.csv")
    take_in_catalog([data / "episodes.csv"], Lake(settings.lake_dir))
    take_in(find_landing_files(settings), settings, Lake(settings.lake_dir))
    with connected(None, data) as engine:
        endpoint(engine)
    (data / "sources.toml").write_text('[edge]\nclass = "prefix"\n')
    return settings


@pytest.fixture(scope="session")
def built(plain: Settings, tmp_path_factory: pytest.TempPathFactory) -> House:
    settings = copied(plain, tmp_path_factory.mktemp("house"))
    build_marts(settings)
    return House(settings, marts(settings.warehouse))


@pytest.fixture
def house(built: House, tmp_path: Path) -> House:
    """A copy: a test may change it."""
    return House(copied(built.settings, tmp_path), built.marts)


@pytest.fixture
def settings(plain: Settings, tmp_path: Path) -> Settings:
    """A copy without marts: a test may change it."""
    return copied(plain, tmp_path)


def copied(settings: Settings, into: Path) -> Settings:
    shutil.copytree(settings.data, into / "data")
    return Settings(data=into / "data", settle_s=0)
