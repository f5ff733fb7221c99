"""Notices as files in the landing folder, where sensor and sweeps take them from (registry/noticed.py).

Not straight into the registry: a notice is not lost where that is away, what is wrong with one is told in one
place, and a flood costs disk, not transactions.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from ingest.durable import write_atomically
from ingest.settings import Settings
from serving.api.problems import Problem


def put(settings: Settings, source: str, stem: str, suffix: str, body: bytes) -> Path:
    """The path of the new file. Raises Problem: 503, the disk failed, say it again."""
    path = settings.hints_dir / source / f"{stem}-{secrets.token_hex(4)}{suffix}"
    try:
        write_atomically(path, body)
    except OSError:
        raise Problem(
            503, "The notice cannot be kept", "The disk failed: send it again", headers={"retry-after": "30"}
        ) from None
    return path
