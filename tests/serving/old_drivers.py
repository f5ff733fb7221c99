"""DuckDB drivers of other versions, as analysts' tools bring them: fetched once a session, or skipped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

OLDEST = "1.0.0"  # the first whose storage format was promised to stay
_FETCH_S = 120
_READ = """
import json, sys
import duckdb
database, query = sys.argv[1:]
con = duckdb.connect(database, read_only=True)
print(json.dumps([duckdb.__version__, con.execute(query).fetchall()]))
"""


class OldDriver:
    """A DuckDB driver in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._environment = {**os.environ, "PYTHONPATH": str(folder)}

    def read(self, database: Path, query: str) -> list[list[Any]]:
        """The rows of a query; values must have a form in JSON."""
        done = subprocess.run(
            [sys.executable, "-c", _READ, str(database.resolve()), query],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        version, rows = json.loads(done.stdout)
        assert version == OLDEST
        return list(rows)


@pytest.fixture(scope="session")
def old_driver(tmp_path_factory: pytest.TempPathFactory) -> OldDriver:
    folder = tmp_path_factory.mktemp("duckdb-1")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    fetched = subprocess.run(
        [*command, "--only-binary=:all:", "--target", str(folder), f"duckdb=={OLDEST}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=_FETCH_S,
    )
    if fetched.returncode:
        pytest.skip(f"DuckDB {OLDEST} cannot be had here: {fetched.stderr.strip().splitlines()[-1:]}")
    return OldDriver(folder)
