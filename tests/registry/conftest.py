"""A registry, empty and migrated: every test runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from registry.database import FILE_NAME, connect
from tests.postgres import Postgres, postgres
from tests.registry.command_line import earshot, typed

__all__ = ["earshot", "postgres", "typed"]

BACKENDS = ("sqlite", "postgresql")


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def migrated(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], str]:
    """Of a backend: a migrated registry to copy, which costs less than to migrate."""
    made: dict[str, str] = {}

    def of(backend: str) -> str:
        if backend not in made:
            if backend == "sqlite":
                folder = tmp_path_factory.mktemp("migrated")
                connect(None, folder).dispose()
                made[backend] = str(folder / FILE_NAME)
            else:
                server: Postgres = request.getfixturevalue("postgres")
                made[backend] = server.create_database()
                connect(server.url(made[backend]), Path()).dispose()
        return made[backend]

    return of


@pytest.fixture
def empty_url(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without any table."""
    if backend == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    server: Postgres = request.getfixturevalue("postgres")
    return server.url(server.create_database())


@pytest.fixture
def url(backend: str, request: pytest.FixtureRequest, tmp_path: Path, migrated: Callable[[str], str]) -> str:
    """The URL of an empty registry."""
    if backend == "sqlite":
        shutil.copy(migrated(backend), tmp_path / FILE_NAME)
        return f"sqlite:///{tmp_path / FILE_NAME}"
    server: Postgres = request.getfixturevalue("postgres")
    return server.url(server.create_database(migrated(backend)))


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = connect(url, Path())
    yield engine
    engine.dispose()
