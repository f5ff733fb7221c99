"""The dashboard's files, for one database, as Superset imports them.

`python -m deploy.superset.bundle --uri URI earshot.zip` writes a file for a Superset of your own
(*Dashboards*, *Import dashboards*).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import uuid
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent / "dashboard"
Files = Mapping[str, Any]  # what each file holds, by its path below the folder


@dataclass(frozen=True)
class Source:
    """A database the dashboard can read. `key` is empty for the one that the files are written for."""

    uri: str
    schema: str
    key: str = ""
    label: str = ""

    @classmethod
    def duckdb(cls, published: Path) -> Source:
        """The shared marts of a published folder, whichever version is current."""
        return cls(f"duckdb:///{published.absolute() / 'current' / 'shared.duckdb'}", "main")

    @classmethod
    def postgresql(cls, uri: str) -> Source:
        """The schema `marts` of a PostgreSQL; `uri` as its reader."""
        return cls(uri, "marts", "postgresql", " (PostgreSQL)")


def read_files(folder: Path = FOLDER) -> Files:
    """The files as they lie there."""
    return {
        path.relative_to(folder).as_posix(): yaml.safe_load(path.read_text("utf-8"))
        for path in sorted(folder.rglob("*.yaml"))
    }


def for_source(files: Files, source: Source, is_ours: bool = False) -> Files:
    """The files with that database in them, and names of their own for each but the first.

    is_ours: Superset then lets nobody change them in place, since the next version of the files would undo
    it; a copy is anyone's.
    """
    ids = [told["uuid"] for told in files.values() if "uuid" in told]
    text = json.dumps(files)
    if source.key:
        for old in ids:
            text = text.replace(old, str(uuid.uuid5(uuid.UUID(old), source.key)))
    changed: dict[str, Any] = json.loads(text)
    for path, told in changed.items():
        kind = path.split("/")[0]
        if is_ours and kind in ("databases", "datasets", "charts", "dashboards"):
            told["is_managed_externally"] = True
        if kind == "databases":
            told |= {"sqlalchemy_uri": source.uri, "database_name": told["database_name"] + source.label}
        elif kind == "datasets":
            # In SQLite, Superset's datasets have to differ by name alone.
            told |= {"schema": source.schema, "table_name": told["table_name"] + source.label}
        elif kind == "dashboards":
            told["dashboard_title"] += source.label
            told["slug"] = "-".join(part for part in (told["slug"], source.key) if part)
    return changed


def as_contents(files: Files, kind: str) -> dict[str, str]:
    """The files as text, as Superset's import commands take them. kind: `assets` replaces what is there."""
    return {
        path: yaml.safe_dump({**told, "type": kind} if path == "metadata.yaml" else told, sort_keys=False)
        for path, told in files.items()
    }


def fingerprint(files: Files) -> str:
    """The same for the same files."""
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def write_zip(target: Path, contents: Mapping[str, str]) -> None:
    """One archive, with the one folder around it that Superset expects."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in contents.items():
            archive.writestr(f"earshot/{path}", text)


def main() -> None:
    parser = argparse.ArgumentParser(description="write our dashboard as a file that Superset imports")
    parser.add_argument("--uri", required=True, help="duckdb:////path/shared.duckdb or postgresql://…")
    parser.add_argument("target", type=Path)
    given = parser.parse_args()
    schema = "marts" if given.uri.startswith("postgresql") else "main"
    files = for_source(read_files(), Source(given.uri, schema))
    write_zip(given.target, as_contents(files, "Dashboard"))


if __name__ == "__main__":
    main()
