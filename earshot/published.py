"""The published marts: which version is current, and what it was counted with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ingest.settings import Settings, Window
from serving.publish import DATABASE_NAME, MANIFEST_NAME
from serving.versions import CURRENT, TO_PUBLISH


class NothingPublished(RuntimeError):
    """There are no marts to read; the message says what to do."""


@dataclass(frozen=True)
class Published:
    """One published version; its folder's real path, so that a newer one does not change it meanwhile."""

    database: Path
    version: int
    made_at: str  # ISO 8601, UTC
    window: Window  # under which `downloads` counts


def current(settings: Settings) -> Published:
    """The current version. Raises NothingPublished."""
    folder = (settings.published_dir / CURRENT).resolve()
    database, manifest = folder / DATABASE_NAME, folder / MANIFEST_NAME
    if not (database.is_file() and manifest.is_file()):
        raise NothingPublished(
            f"no marts are published in {settings.published_dir}: {TO_PUBLISH}; or set EARSHOT_DATA to "
            "the data folder"
        )
    told = json.loads(manifest.read_text("utf-8"))
    window = Window(told["window"]) if told.get("window") else settings.window
    return Published(database, int(told["version"]), str(told["made_at"]), window)
