"""A small lake, and bytes of it that change on the disk."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.repair import Repaired, repair
from ingest.settings import Settings
from ingest.verify import verify
from tests.faults.lake_scenarios import LATER_US, fill, settings_in, take


def flip(content: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << dice.randrange(8)]) + content[at + 1 :]


def cut(content: bytes, dice: random.Random) -> bytes:
    return content[: dice.randrange(len(content))]


def zero(content: bytes, dice: random.Random) -> bytes:
    """A block that never came to the disk."""
    at = dice.randrange(4, len(content) - 4)
    length = min(len(content) - at, dice.choice([16, 512, 4096]))
    return content[:at] + bytes(length) + content[at + length :]


HOWS: list[Callable[[bytes, random.Random], bytes]] = [flip, cut, zero]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("whole") / "data"
    fill(settings_in(data))
    take(settings_in(data))
    return data


@pytest.fixture
def data(original: Path, tmp_path: Path) -> Path:
    shutil.copytree(original, tmp_path / "data")
    return tmp_path / "data"


def spoil(path: Path, dice: random.Random) -> None:
    before = path.read_bytes()
    while path.read_bytes() == before:
        path.write_bytes(dice.choice(HOWS)(before, dice))


def files(data: Path, *tops: str) -> list[Path]:
    """Of the lake with rows, below these folders."""
    return [
        path
        for top in tops
        for path in sorted((data / "lake" / top).rglob("*.parquet"))
        if path.name != "_empty.parquet"
    ]


def mended(settings: Settings) -> Repaired:
    return repair(settings, verify(settings.lake_dir), LATER_US + 1)
