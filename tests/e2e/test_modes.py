"""Who may read what: a walk over the data folder of a demo that went through the whole way."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

SECRET = ("api.secret", "registry.db")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder made under the most careless umask."""
    data = tmp_path_factory.mktemp("modes") / "data"
    code = "import os, sys; os.umask(0); from earshot.cli import main; main()"
    small = ["--once", "--lines", "400", "--shows", "3", "--days", "1"]
    done = subprocess.run(
        [sys.executable, "-c", code, "demo", *small],
        env={**os.environ, "EARSHOT_DATA": str(data)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return data


def modes(root: Path) -> dict[str, int]:
    paths = [path for path in root.rglob("*") if not path.is_symlink()]
    return {str(path.relative_to(root)): stat.S_IMODE(path.stat().st_mode) for path in paths}


def test_no_other_account_can_write_anything(demo: Path) -> None:
    found = modes(demo)
    assert len(found) > 100
    assert [name for name, mode in found.items() if mode & 0o022] == []


def test_only_what_is_published_for_all_can_be_read_by_all(demo: Path) -> None:
    readable = {name for name, mode in modes(demo).items() if mode & 0o004 and not (demo / name).is_dir()}
    assert all(name.startswith("published/") for name in readable), readable
    names = {Path(name).name for name in readable}
    assert "shared.duckdb" in names and "manifest.json" in names and "marts.duckdb" not in names
    folders = {Path(name).parent.name for name in readable}
    assert "fct_show_daily" in folders and "fct_downloads" not in folders  # that one has listeners' keys
    assert "rpt_leads.parquet" not in names  # owners' mail addresses


def test_secrets_are_for_the_owner_alone(demo: Path) -> None:
    found = modes(demo)
    secret = [name for name in found if name.startswith("keys/") or Path(name).name.startswith(SECRET)]
    assert len(secret) > 1
    assert {name: oct(found[name]) for name in secret if found[name] != 0o600} == {}
    assert found["keys"] == 0o700
