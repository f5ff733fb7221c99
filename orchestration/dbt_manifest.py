"""The dbt manifest Dagster loads its graph from: made when missing or out of date, else left alone.

`DbtProject.prepare_if_dev` parses again in every run worker (5.7 → 13 CPU-s a run), and a fresh clone has no
manifest at all. So: parse only when the project's files are not those the manifest was made from, into a
folder of its own, under a lock, and put it in place in one step.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from ingest.durable import locked, write_atomically
from ingest.settings import Settings
from orchestration.dbt_args import dbt_environment, manifest_dir, parse_args
from serving.contract import project_dir

_INPUTS = ("*.sql", "*.py", "*.yml", "*.yaml", "*.md", "*.csv")
_NOT_INPUTS = {"target", "logs", "dbt_packages"}


class ManifestError(RuntimeError):
    """dbt could not parse the project; the message carries what it said."""


def ensure_manifest(settings: Settings) -> Path:
    """Path of a manifest that fits the project's files. Raises ManifestError."""
    folder = manifest_dir(settings)
    manifest = folder / "manifest.json"
    if _is_current(folder):
        return manifest
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".lock"):
        if not _is_current(folder):  # another process may have made it while we waited
            _parse(settings, folder)
    return manifest


def fingerprint(project: Path) -> str:
    """A hash over the name, size and time of each file dbt reads; changes when one of them does."""
    digest = hashlib.sha256()
    for path in sorted(path for pattern in _INPUTS for path in project.rglob(pattern)):
        relative = path.relative_to(project)
        if not _NOT_INPUTS & set(relative.parts):
            found = path.stat()
            digest.update(f"{relative}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _is_current(folder: Path) -> bool:
    made_from = folder / "made_from"
    return (
        (folder / "manifest.json").exists() and made_from.exists() and made_from.read_text() == _made_from()
    )


def _made_from() -> str:
    return f"{project_dir()}\n{fingerprint(project_dir())}\n"


def _parse(settings: Settings, folder: Path) -> None:
    made_from = _made_from()
    working = folder / "parse"  # keeps dbt's partial parse between runs
    done = subprocess.run(
        [dbt_executable(), *parse_args()],
        env={
            **os.environ,
            **dbt_environment(settings),
            "DBT_TARGET_PATH": str(working),
            "DBT_USE_COLORS": "false",
        },
        cwd=project_dir(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip()
        raise ManifestError(f"dbt cannot parse the project {project_dir()}; mend it and reload:\n{said}")
    write_atomically(folder / "manifest.json", (working / "manifest.json").read_bytes())
    write_atomically(folder / "made_from", made_from.encode())


def dbt_executable() -> str:
    """The dbt of this Python, whether or not its environment is active."""
    beside = Path(sys.executable).with_name("dbt")
    return str(beside) if beside.exists() else "dbt"
