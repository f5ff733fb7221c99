"""A version's manifest: what is in it, for readers, and for the publication that goes on from it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from serving.change import Former, State
from serving.contract import Audience
from serving.copying import Dates, Mart, sha256
from serving.parquet import Part
from serving.versions import MANIFEST_NAME


@dataclass(frozen=True)
class PublishedTable:
    """One mart of a published version."""

    mart: Mart
    rows: int
    files: tuple[Part, ...]
    written: Dates  # what of it differs from the version before: all (None), or the rows of these dates

    @property
    def name(self) -> str:
        return self.mart.name

    @property
    def parquet_bytes(self) -> int:
        return sum(part.bytes for part in self.files)


def write_manifest(
    folder: Path,
    version: int,
    window: str | None,
    rules: str | None,
    databases: dict[str, tuple[Path, str]],
    tables: Sequence[PublishedTable],
    state: State | None,
    former: Former | None,
) -> None:
    """databases: by what readers know them as, the file and its storage version."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    told = {
        "version": version,
        "made_at": now,
        "sorted_at": former.sorted_at if former else now,
        "window": window,
        "rules": rules,
        "warehouse": asdict(state) if state else None,
        **{key: _database(path, storage) for key, (path, storage) in databases.items()},
        "tables": [_described(table) for table in tables],
    }
    (folder / MANIFEST_NAME).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def read_manifest(folder: Path | None) -> dict[str, Any] | None:
    """The manifest of a version; None without one that can be read."""
    if folder is None:
        return None
    try:
        told = json.loads((folder / MANIFEST_NAME).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None


def shape(mart: Mart) -> dict[str, Any]:
    """What must be the same in two versions for one to be made from the other: as the manifest has it."""
    return {
        "subject": mart.subject,
        "contract_version": mart.version,
        "grain": list(mart.grain),
        "order_by": list(mart.order_by),
        "columns": [
            {
                "name": column,
                "type": kind,
                "is_nullable": column not in mart.required,
                "audience": (Audience.SHARED if column in mart.shared else Audience.TEAM).value,
            }
            for column, kind in mart.columns
        ],
    }


def has_shape(table: dict[str, Any], mart: Mart) -> bool:
    """Whether a manifest's table is as `mart` is now."""
    wanted = shape(mart)
    told = {key: table.get(key) for key in wanted}
    told["columns"] = [
        {key: column.get(key) for key in wanted["columns"][0]} for column in table.get("columns", ())
    ]
    return told == wanted


def mart_of(table: dict[str, Any]) -> Mart:
    """A manifest's table as the publisher knew it."""
    columns = table["columns"]
    comments = [(None, table["description"]), *((c["name"], c["description"]) for c in columns)]
    return Mart(
        table["name"],
        table["subject"],
        tuple(table["order_by"]),
        tuple((column["name"], column["type"]) for column in columns),
        tuple((column, comment) for column, comment in comments if comment is not None),
        tuple(table["grain"]),
        tuple(column["name"] for column in columns if not column["is_nullable"]),
        tuple(column["name"] for column in columns if column["audience"] == Audience.SHARED),
        table["contract_version"],
    )


def _described(table: PublishedTable) -> dict[str, Any]:
    comments = dict(table.mart.comments)
    told = shape(table.mart)
    for column in told["columns"]:
        column["description"] = comments.get(column["name"])
    return {
        "name": table.name,
        "audience": (Audience.SHARED if table.mart.shared else Audience.TEAM).value,
        "description": comments.get(None),
        "rows": table.rows,
        **told,
        "files": [asdict(part) for part in table.files],
    }


def _database(path: Path, storage_version: str) -> dict[str, Any]:
    return {
        "file": path.name,
        "storage_version": storage_version,
        "bytes": path.stat().st_size,
        "sha256": sha256(path),
    }
