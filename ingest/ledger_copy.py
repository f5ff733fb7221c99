"""The ledger kept twice: all else hangs on it, and nothing else tells which files were taken in."""

from __future__ import annotations

from pathlib import Path

from ingest import checksums
from ingest.durable import locked, replacing
from ingest.lake import EMPTY, LEDGER_COPY, Lake


def renew(lake: Lake) -> int:
    """Copy ledger files that have no copy, or another one, as a crash or a restore leaves them; how many.

    One whose own bytes are not those that were written is left: its copy is what mends it. So is a copy whose
    ledger file is gone.
    """
    copied = 0
    with locked(lake.ledger_lock):
        known: set[str] | None = None
        for path in sorted((lake.root / "files").glob("*/*.parquet")):
            twin = lake.root / LEDGER_COPY / path.parent.name / path.name
            if path.name == EMPTY or _are_alike(path, twin):
                continue
            known = checksums.noted(lake.root) if known is None else known
            if checksums.digest_of(path) in known or not checksums.is_complete(lake.root):
                copy(path, twin)
                copied += 1
    return copied


def copy(path: Path, twin: Path) -> None:
    """The same bytes, there whole or not at all. Raises OSError."""
    with replacing(twin) as temporary:
        temporary.write_bytes(path.read_bytes())


def _are_alike(path: Path, twin: Path) -> bool:
    if not twin.exists() or twin.stat().st_size != path.stat().st_size:
        return False
    return twin.read_bytes() == path.read_bytes()
