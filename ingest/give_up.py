"""What nobody has any more is given up, so that intake and builds go on: said, set aside, never removed.

For after `repair`. The ledger then tells of no row that the lake has not.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from ingest import checksums
from ingest.compaction import expand
from ingest.durable import locked
from ingest.lake import SUPPRESSED_FILE, Lake, is_kept_twice, twin_of
from ingest.repair import Repaired, repair
from ingest.set_aside import set_aside
from ingest.settings import Settings
from ingest.verify import Gap, Verified, verify

# A podcast's shard stands still by itself, and its changes are numbered: a hole would be told for ever.
_NEVER = ("catalog/shard=", "changes/")


def give_up(settings: Settings, found: Verified, now_us: int) -> Repaired:
    """Go on without what `found`, looked up after a repair, says is damaged or gone.

    `mended`: what could be taken in once it was out of the way; `lost`: what was given up. Raises OSError.
    """
    lake, done = Lake(settings.lake_dir), Repaired()
    given_up = [damage.path for damage in found.damaged if not damage.path.as_posix().startswith(_NEVER)]
    with locked(lake.intake_lock), locked(lake.ledger_lock):
        for path in given_up:
            if (lake.root / path).exists():
                set_aside(settings, path, now_us)
            done.lost.append(f"{path.as_posix()}: {_without(path)}")
        checksums.forget_names(lake.root, given_up)
    Lake(settings.lake_dir)  # the empty tables that stand for a table without rows
    if any(path.name == SUPPRESSED_FILE for path in given_up):
        return done  # nothing is taken in here while whoever was erased would come back
    if any(path.parts[0] == "files" for path in given_up):
        with locked(lake.intake_lock):
            # What is taken in again writes files of its own: none of its rows may lie in a merged one, too.
            expand(lake, lake.event_days())
    again = repair(settings, verify(lake.root), now_us)
    done.mended += again.mended
    done.otherwise += again.otherwise
    with locked(lake.intake_lock):
        for gap in verify(lake.root).gaps:
            if gap.found < gap.wanted:
                _amend(lake, gap, now_us)
                done.lost.append(f"{gap}: the ledger says so now")
    return done


def _without(path: Path) -> str:
    if path.name == SUPPRESSED_FILE:
        return "given up: erase again whom you erased (`earshot privacy erase`), then run this once more"
    if "files" in (path.parts[0], twin_of(path).parts[0] if is_kept_twice(path) else None):
        return "given up: the next intake takes in what is still in landing; what is not is counted no more"
    return "given up"


def _amend(lake: Lake, gap: Gap, now_us: int) -> None:
    """The ledger's row of a landing file tells the rows that are there."""
    lost, day = gap.wanted - gap.found, datetime.fromtimestamp(now_us / 1e6, UTC).date()
    its = pl.col("source").eq(gap.source) & pl.col("file_id").eq(gap.file_id) & pl.col("status").eq("taken")
    row = (
        lake.ledger()
        .filter(its)
        .with_columns(
            lines=pl.col("lines") - lost,
            requests=pl.lit(gap.found, pl.Int64),
            reason=pl.lit(f"{lost:,} requests damaged on the disk, given up on {day}"),
        )
    )
    lake.record(row)
