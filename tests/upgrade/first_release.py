"""A small data folder as the first release left it, made by that release's own code from git's history.

`python -m tests.upgrade.first_release` writes first-release.tar.xz anew, which the tests open with today's
code. The first release is the first state of main that counts end to end in today's layout of the lake and
has a registry with a command line. States before it have layout 1, which is refused with what to do.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

COMMIT = "48ccf89"  # 2026-11-29: Merge branch 'registry'
STORED = Path(__file__).with_name("first-release.tar.xz")
FEEDS = ("https://feeds.example.com/one.xml", "https://feeds.example.com/two.xml")
_ROOT = Path(__file__).parents[2]
_WORLD = ("--lines", "600", "--shows", "3", "--days", "2")
_NOT_NEEDED = ("dbt", "reference", "dagster")  # made again


class NoHistory(RuntimeError):
    """The commit is not in this clone."""


def make(data: Path) -> None:
    """Let the first release make `data`. Raises NoHistory."""
    with tempfile.TemporaryDirectory(prefix="earshot-first-") as folder:
        _check_out(Path(folder))
        environment = {name: value for name, value in os.environ.items() if not name.startswith("EARSHOT_")}
        # Its tables of networks and the like are its own; only the packages are today's.
        environment |= {"PYTHONPATH": folder, "EARSHOT_DATA": str(data), "XDG_CACHE_HOME": f"{folder}/cache"}
        for arguments in (("demo", "--once", *_WORLD), ("register", *FEEDS)):
            subprocess.run(
                [sys.executable, "-m", "earshot.cli", *arguments],
                cwd=folder,
                env=environment,
                capture_output=True,
                check=True,
            )
    for name in _NOT_NEEDED:
        shutil.rmtree(data / name, ignore_errors=True)


def unpack(data: Path) -> None:
    """The stored one."""
    with tarfile.open(STORED) as stored:
        stored.extractall(data, filter="data")


def _check_out(folder: Path) -> None:
    done = subprocess.run(["git", "archive", COMMIT], cwd=_ROOT, capture_output=True, check=False)
    if done.returncode:
        raise NoHistory(f"{COMMIT} is not in this clone: {done.stderr.decode(errors='replace').strip()}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")


def _tidy(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="earshot-first-") as folder:
        data = Path(folder) / "data"
        make(data)
        with tarfile.open(STORED, "w:xz", preset=9) as stored:
            for path in sorted(data.iterdir()):
                stored.add(path, path.name, filter=_tidy)
    print(f"{STORED.name}: {STORED.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
