"""What dbt parsed is taken again as it was, and only from a file that is whole and our own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.kept_manifest import MOST

READ = """
import sys
from pathlib import Path
from dbt.contracts.graph.manifest import Manifest
folder, name = Path(sys.argv[1]), sys.argv[2]
file = folder.parent / f"{name}.msgpack"
if not file.exists():
    made = Manifest()
    made.metadata.project_name, made.env_vars = name, {"A": "1"}
    file.write_bytes(made.to_msgpack())
parsed = file.read_bytes()
plainly, read = Manifest.from_msgpack(parsed), []
class_read = Manifest.from_msgpack.__func__
def counted(cls, *given, **named):
    read.append(1)
    return class_read(cls, *given, **named)
Manifest.from_msgpack = classmethod(counted)
from orchestration.kept_manifest import keep_manifests
keep_manifests(folder)
found = Manifest.from_msgpack(parsed)
assert found.to_msgpack() == plainly.to_msgpack() and vars(found).keys() == vars(plainly).keys()
assert found._lock.acquire(timeout=1)
print(found.metadata.project_name, found.env_vars, len(read))
"""


def _said(folder: Path, name: str = "one") -> str:
    ran = subprocess.run(
        [sys.executable, "-c", READ, str(folder), name], capture_output=True, text=True, check=True
    )
    return ran.stdout.strip()


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    assert _said(tmp_path / "kept") == "one {'A': '1'} 1"
    (file,) = (tmp_path / "kept").iterdir()
    return file


def test_what_was_parsed_is_read_once_and_is_the_same(kept: Path) -> None:
    assert _said(kept.parent) == "one {'A': '1'} 0"
    assert _said(kept.parent, "other") == "other {'A': '1'} 1"


def test_what_others_could_have_written_is_read_anew(kept: Path) -> None:
    kept.chmod(0o666)
    assert _said(kept.parent) == "one {'A': '1'} 1"


def test_what_is_damaged_is_read_anew_and_kept(kept: Path) -> None:
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert _said(kept.parent) == "one {'A': '1'} 1"
    assert _said(kept.parent) == "one {'A': '1'} 0"


def test_the_last_few_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    for number in range(MOST + 2):
        _said(folder, f"p{number}")
    assert len(list(folder.iterdir())) == MOST
    assert _said(folder, f"p{MOST + 1}").endswith(" 0") and _said(folder, "p0").endswith(" 1")
