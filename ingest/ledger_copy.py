"""Kept twice, since nothing else tells it: which files were taken in, who was erased, what was published."""

from __future__ import annotations

from pathlib import Path

from ingest import checksums
from ingest.durable import locked
from ingest.lake import EMPTY, SUPPRESSED_FILE, TOLD, Lake, keep_twice, twin_of


def renew(lake: Lake) -> int:
    """Copy files kept twice that have no copy, or another one, as a crash or a restore leaves them; how many.

    One whose own bytes are not those that were written is left: its copy is what mends it. So is a copy whose
    ledger file is gone.
    """
    copied = 0
    with locked(lake.ledger_lock):
        known: set[str] | None = None
        ledger = sorted((lake.root / "files").glob("*/*.parquet"))
        told = sorted((lake.root / TOLD).glob("[!.]*.parquet"))
        for path in [*ledger, *told, lake.root / SUPPRESSED_FILE]:
            twin = lake.root / twin_of(path.relative_to(lake.root))
            if not path.exists() or path.name == EMPTY or _are_alike(path, twin):
                continue
            known = checksums.noted(lake.root) if known is None else known
            if checksums.digest_of(path) in known or not checksums.is_complete(lake.root):
                keep_twice(path, twin)
                checksums.note_name(path)
                copied += 1
    return copied


def _are_alike(path: Path, twin: Path) -> bool:
    if not twin.exists() or twin.stat().st_size != path.stat().st_size:
        return False
    return twin.read_bytes() == path.read_bytes()
