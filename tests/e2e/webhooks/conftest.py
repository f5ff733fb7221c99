"""A registry in a data folder of its own, and the command line over it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from earshot.cli import main
from registry.database import connect
from tests.e2e.webhooks.cli import LOCAL, Said, Typed, environment


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def engine(data: Path) -> Iterator[Engine]:
    engine = connect(None, data)
    yield engine
    engine.dispose()


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data: Path) -> Typed:
    """The same command line within this process: quicker."""
    for name, value in environment(data, **LOCAL).items():
        monkeypatch.setenv(name, value)

    def run(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["earshot", *map(str, arguments)])
        code: object = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        return Said(int(str(code or 0)), *capsys.readouterr())

    return run
