"""A running API over a small publication: two tenants with two shows each, one show that is open to all."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from ingest.settings import Settings
from registry import show_access
from registry.api_keys import Scope, create
from registry.database import connect
from registry.show_access import Subject
from serving.api.app import create_app
from serving.api.core import Core
from serving.api.settings import ApiSettings
from tests.serving.api.published import a_show, publish_rows

SHOWS = {"ann": ("ann-1", "ann-2"), "bob": ("bob-1", "bob-2"), "nobody": ("open-1",)}
ALL_SHOWS = sorted(show for shows in SHOWS.values() for show in shows)
NOW_US = time.time_ns() // 1000


def settings_of(data: Path, **more: object) -> ApiSettings:
    """Without limits; what is published or granted is seen when a test says `core.refresh()`."""
    told = {"rate": "0", "public_rate": "0", "hub_rate": "0", "poll_s": 60, **more}
    return ApiSettings.model_validate({"platform": Settings(data=data), **told})


def keys_of(core: Core) -> dict[str, str]:
    """A key of each tenant, and one of the operator; the shows belong to whom SHOWS says."""
    made = {name: create(core.engine, NOW_US, name, [Scope.READ, Scope.MANAGE])[0] for name in ("ann", "bob")}
    made["operator"] = create(core.engine, NOW_US, "house", [Scope.OPERATE])[0]
    for tenant in ("ann", "bob"):
        show_access.grant(core.engine, NOW_US, tenant, SHOWS[tenant])
    show_access.open_to_all(core.engine, NOW_US, SHOWS["nobody"], [Subject.DOWNLOADS])
    core.refresh()
    return made


def of(key: str) -> dict[str, str]:
    """The header a key is sent in."""
    return {"authorization": f"Bearer {key}"}


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder to copy: to publish and to migrate cost more."""
    folder = tmp_path_factory.mktemp("api")
    publish_rows(folder / "published", {"dim_shows": [a_show(show) for show in ALL_SHOWS]})
    connect(None, folder).dispose()
    return folder


@pytest.fixture
def data(template: Path, tmp_path: Path) -> Path:
    """A data folder with a publication of all shows."""
    return shutil.copytree(template, tmp_path / "data", symlinks=True)


@pytest.fixture
def client(data: Path) -> Iterator[TestClient]:
    with TestClient(create_app(settings_of(data)), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def core(client: TestClient) -> Core:
    found: Core = client.app.state.core  # type: ignore[attr-defined]
    return found


@pytest.fixture
def keys(core: Core) -> dict[str, str]:
    return keys_of(core)
