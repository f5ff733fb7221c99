"""What a backup holds: `manifest.json`, each file with its checksum; read as what comes from outside is."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any

FILE = "manifest.json"
FORMAT = 1
TAR = ".tar"
# Packed, or nearly .tar: nobody who types such a name wants a folder.
PACKED = re.compile(r".*\.(t[gbx]z2?|tzst|gz|bz2|xz|zst|zip|7z)|.*\.tar", re.IGNORECASE | re.DOTALL)
SQLITE, POSTGRESQL, NO_REGISTRY = "sqlite", "postgresql", "none"
TABLES = "registry"  # folder of the tables of a registry in PostgreSQL
REGISTRY_FILE = "registry.db"
WAREHOUSE_FILE = "warehouse.duckdb"
# What of a data folder a backup takes; all else is made of it, or said to be left out.
TAKEN = (
    "keys",
    "api.secret",
    "sources.toml",
    "feed_sources.toml",
    "feed_budgets.json",
    "reference",
    "alerts",
    "privacy",
    "lake",
)
_OWN = (TABLES, REGISTRY_FILE, WAREHOUSE_FILE)
SECRET = ("keys", "api.secret", TABLES, REGISTRY_FILE, "alerts", "privacy")  # files of mode 0600
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NS = 1 << 63  # of a time of change, as files have it
# A manifest of so many files has at most so many bytes: what is larger is not read.
_HEAD_BYTES, _ENTRY_BYTES = 1 << 20, 1 << 13


def most_bytes(files: int) -> int:
    """A manifest of a backup of so many files is not larger."""
    return _HEAD_BYTES + files * _ENTRY_BYTES


class BackupError(RuntimeError):
    """Nothing was backed up, or restored; the message says why and what to do."""


@dataclass(frozen=True)
class Entry:
    """One file, by its path below the data folder."""

    path: str
    bytes: int
    sha256: str
    mtime_ns: int  # keys are judged by their age

    @property
    def is_secret(self) -> bool:
        return PurePosixPath(self.path).parts[0] in SECRET


@dataclass(frozen=True)
class Manifest:
    """A whole backup."""

    made_at: str  # ISO 8601, UTC
    earshot: str  # version
    lake_format: str | None  # None: there was no lake
    registry: str  # sqlite | postgresql | none
    revision: str | None  # of the registry's tables (Alembic)
    has_warehouse: bool  # requests were removed for their age: the marts cannot be made again without it
    left_out: tuple[str, ...]  # of the data folder
    settings: tuple[str, ...]  # EARSHOT_* that were set; their values are not in it
    files: tuple[Entry, ...] = field(default=())

    def to_json(self) -> bytes:
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1).encode()

    @property
    def identity(self) -> str:
        """32 hex digits: another backup has another one."""
        return hashlib.sha256(self.to_json()).hexdigest()[:32]

    @classmethod
    def parse(cls, content: bytes) -> Manifest:
        """Raises BackupError: no manifest of ours, or one that names what no backup holds."""
        try:
            told: dict[str, Any] = json.loads(content)
            if told.pop("format") != FORMAT:
                raise BackupError("the backup was made by a newer Earshot: restore it with that one")
            files = tuple(Entry(**each) for each in told["files"])
            manifest = cls(
                made_at=str(told["made_at"]),
                earshot=str(told["earshot"]),
                lake_format=None if told["lake_format"] is None else str(told["lake_format"]),
                registry=str(told["registry"]),
                revision=None if told["revision"] is None else str(told["revision"]),
                has_warehouse=bool(told["has_warehouse"]),
                left_out=tuple(map(str, told["left_out"])),
                settings=tuple(map(str, told["settings"])),
                files=files,
            )
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise BackupError(
                f"{FILE} cannot be read ({type(error).__name__}): this is no whole backup"
            ) from error
        for each in files:
            if not _is_ours(each):
                raise BackupError(
                    f"{FILE} names {each.path!r}, which no backup of ours holds: nothing is restored"
                )
        names = {each.path for each in files}
        if len(names) != len(files):
            raise BackupError(f"{FILE} names a file twice: nothing is restored")
        for each in files:
            if folder := next(
                (str(one) for one in PurePosixPath(each.path).parents if str(one) in names), None
            ):
                raise BackupError(f"{FILE} names {folder!r} as a file and as a folder: nothing is restored")
        if told["registry"] not in (SQLITE, POSTGRESQL, NO_REGISTRY) or (
            manifest.has_warehouse != (WAREHOUSE_FILE in names)
            or (manifest.registry == SQLITE) != (REGISTRY_FILE in names)
        ):
            raise BackupError(f"{FILE} does not fit the files it names: this is no whole backup")
        return manifest


def _is_ours(entry: Entry) -> bool:
    if not isinstance(entry.path, str) or not isinstance(entry.sha256, str):
        return False
    try:
        os.fsencode(entry.path)
    except UnicodeError:
        return False
    path = PurePosixPath(entry.path)
    return (
        bool(path.parts)
        and path.parts[0] in (*TAKEN, *_OWN)
        and str(path) == entry.path
        and not any(part in ("..", ".") or "\x00" in part for part in path.parts)
        and bool(_SHA256.fullmatch(entry.sha256))
        and type(entry.bytes) is int
        and entry.bytes >= 0
        and type(entry.mtime_ns) is int
        and -_NS <= entry.mtime_ns < _NS
    )
