"""The command line as typed, in the process of the test."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from earshot.cli import main


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, object]]:
        rows = json.loads(self.out)
        assert isinstance(rows, list)
        return rows


Earshot = Callable[..., Said]


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Earshot:
    """The command line over the data folder of this test."""
    monkeypatch.setenv("EARSHOT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | int | Path) -> Said:
        monkeypatch.setattr(sys, "argv", ["earshot", *map(str, arguments)])
        code: object = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        out, err = capsys.readouterr()
        return Said(int(str(code or 0)), out, err)

    return run


@pytest.fixture
def earshot(typed: Earshot, monkeypatch: pytest.MonkeyPatch, url: str) -> Earshot:
    """… and over a registry on SQLite and on PostgreSQL."""
    monkeypatch.setenv("EARSHOT_REGISTRY", url)
    return typed
