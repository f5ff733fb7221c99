"""The API over the real marts of a small world, whose truth is known."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.testclient import TestClient

from earshot.made_up import world as worlds
from earshot.pipeline import reading, run_dbt
from earshot.published import current
from ingest.catalog import take_in_catalog
from ingest.lake import Lake
from ingest.logs.intake import find_landing_files, take_in
from ingest.settings import Settings
from registry import show_access
from registry.api_keys import Scope, create
from registry.show_access import Subject
from serving.api.app import create_app
from serving.api.settings import ApiSettings
from serving.publish import publish

Row = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """The API of a data folder, and keys by who has them."""

    client: TestClient
    keys: dict[str, str]
    settings: Settings
    aside: Settings  # a copy of what is published: one process may open a file under one configuration only

    def get(self, path: str, who: str = "operator", status: int = 200, **params: Any) -> Any:
        """The JSON of an answer with this status."""
        headers = {"authorization": f"Bearer {self.keys[who]}"} if who in self.keys else {}
        answer = self.client.get(f"/v1{path}", params=params or None, headers=headers)
        assert answer.status_code == status, (path, params, answer.text)
        return answer.json()

    def rows(self, path: str, who: str = "operator", **params: Any) -> list[Row]:
        found: list[Row] = self.get(path, who, **params)["data"]
        return found

    def sql(self, query: str, *params: object) -> list[tuple[Any, ...]]:
        """Of the published marts."""
        with reading(current(self.aside).database) as con:
            return con.execute(query, list(params)).fetchall()


@pytest.fixture(scope="session")
def world() -> worlds.World:
    return worlds.build(worlds.WorldSpec(shows=5, days=3, lines=6000))


@pytest.fixture(scope="session")
def of_world(world: worlds.World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """Ann owns the first show; nobody the second, whose downloads are open to all."""
    settings = Settings(data=tmp_path_factory.mktemp("world"), settle_s=0)
    worlds.write(world, settings.landing_dir)
    catalog = settings.landing_dir / "catalog" / "episodes.csv"
    worlds.write_catalog(world, catalog)
    lake = Lake(settings.lake_dir)
    take_in_catalog([catalog], lake)
    take_in(find_landing_files(settings), settings, lake)
    run_dbt(settings, ["run"])
    publish(settings.warehouse, settings.published_dir, keep=1, window="calendar")
    with asked(settings) as found:
        yield found


class asked:
    """The API of a data folder, while it runs."""

    def __init__(self, settings: Settings, prepare: Callable[[Any], None] | None = None) -> None:
        api = ApiSettings(platform=settings, rate="0", public_rate="0", hub_rate="0", poll_s=60)
        self._app, self._settings, self._prepare = create_app(api), settings, prepare
        self._client = TestClient(self._app, raise_server_exceptions=False)

    def __enter__(self) -> Asked:
        self._client.__enter__()
        core, now_us = self._app.state.core, time.time_ns() // 1000
        keys = {
            "operator": create(core.engine, now_us, "house", [Scope.OPERATE])[0],
            "ann": create(core.engine, now_us, "ann", [Scope.READ])[0],
            "bob": create(core.engine, now_us, "bob", [Scope.READ])[0],
        }
        shows = sorted(core.marts.current.catalogue.by_id)
        show_access.grant(core.engine, now_us, "ann", shows[:1])
        if len(shows) > 1:
            show_access.open_to_all(core.engine, now_us, [shows[1]], [Subject.DOWNLOADS])
        if self._prepare:
            self._prepare(core)
        core.refresh()
        aside = self._settings.model_copy(update={"data": self._settings.data / "aside"})
        shutil.copytree(self._settings.published_dir, aside.published_dir, symlinks=True)
        return Asked(self._client, keys, self._settings, aside)

    def __exit__(self, *failed: Any) -> None:
        self._client.__exit__(*failed)
