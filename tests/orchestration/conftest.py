"""A small installation with real log files."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ingest.lake import Lake
from ingest.settings import Settings
from orchestration.resources import Installation

AGENT = "Overcast/3.0 (+http://overcast.fm/; iOS podcast app)"


def log_line(number: int, **changes: object) -> str:
    """One line of our nginx format: a whole download of 1 MB by listener `number`, just now."""
    line: dict[str, Any] = {
        "ts": round(time.time() - 60 + number / 1000, 3),
        "dur": 0.5,
        "ip": f"203.0.113.{number % 250}",
        "id": f"request-{number}",
        "method": "GET",
        "host": "media.example.com",
        "uri": f"/show/{number % 3}.mp3",
        "status": 200,
        "bytes": 1_000_000,
        "range": "",
        "content_range": "",
        "ua": AGENT,
        "ref": "",
    }
    return json.dumps({**line, **changes}) + "\n"


@dataclass
class House:
    """An installation below a temporary folder."""

    settings: Settings

    @property
    def lake(self) -> Lake:
        return Lake(self.settings.lake_dir)

    def land(self, name: str, lines: int = 10, bad: int = 0, first: int = 0, source: str = "edge") -> Path:
        """A log file with `lines` good and `bad` unreadable lines."""
        path = self.settings.landing_dir / source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        good = "".join(log_line(number) for number in range(first, first + lines))
        path.write_text(good + "this is no JSON\n" * bad)
        time.sleep(0.002)  # a change time of its own
        return path


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setenv("EARSHOT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("EARSHOT_SETTLE_S", "0")
    house = House(Settings.from_env())
    house.settings.landing_dir.mkdir(parents=True)
    return house


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture
def resources() -> dict[str, object]:
    return {"installation": Installation()}
