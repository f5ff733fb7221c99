"""Does every file of the lake hold what was written, and are all rows there that the ledger tells of?"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import polars as pl

from ingest import checksums
from ingest.checksums import Progress
from ingest.durable import locked
from ingest.lake import (
    EMPTY,
    GONE,
    LEDGER_COPY,
    Lake,
    is_kept_twice,
    keep_twice,
    missing,
    reading,
    twin_of,
)
from ingest.schema import FileStatus

FEW, FEW_PART = 5, 0.01  # a disk damages seldom more files than that, and leaves their former digests
# Where others are damaged, ledger and kept days are not to be believed, and rows cannot be counted.
_TELL_NOTHING_OF_ROWS = (
    *("requests", "rejects", "rules", "restated", "restatements", "changes", "app_devices", "insertions"),
    *("networks.parquet", "address_lists.parquet", "registry"),
)
BEFORE_BOOT_S = 300.0  # what a machine that went down had noted last may not have come to its disk


@dataclass(frozen=True)
class Damage:
    """One file that is not as it was written."""

    path: Path  # below the lake
    reason: str

    def __str__(self) -> str:
        return f"{self.path.as_posix()}: {self.reason}"


@dataclass(frozen=True)
class Gap:
    """A landing file of which the lake has not the rows that the ledger tells."""

    source: str
    file_name: str
    file_id: str
    wanted: int
    found: int

    def __str__(self) -> str:
        what = "lost" if self.found < self.wanted else "too many"
        count = f"{abs(self.wanted - self.found):,} of {self.wanted:,}"
        return f"{self.source}/{self.file_name}: {count} requests {what}"


@dataclass
class Verified:
    """What a look found."""

    files: int = 0
    bytes: int = 0
    relisted: int = 0  # whose digest was lost from a damaged list, and is noted again
    adopted: int = 0  # without a checksum so far, read whole, and noted now
    damaged: list[Damage] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    are_rows_counted: bool = True  # not where what tells how many there must be is damaged

    @property
    def is_whole(self) -> bool:
        return not (self.damaged or self.gaps)


def verify(root: Path, progress: Progress | None = None) -> Verified:
    """Read every file of the lake below `root` and compare. Nobody waits for it."""
    found, digests = Verified(), dict[Path, str]()
    paths = sorted(path for path in parquet_below(root) if _is_read(path, root))
    for done, path in enumerate(paths, 1):
        try:
            digests[path] = checksums.digest_of(path)
            found.bytes += path.stat().st_size
        except FileNotFoundError:
            continue  # replaced by others meanwhile
        except OSError as error:
            found.damaged.append(Damage(path.relative_to(root), f"cannot be read: {error.strerror}"))
        if progress:
            progress(done, len(paths))
    found.files = len(digests)
    found.damaged += [Damage(path, GONE) for path in missing(root)]
    known, adopted, changed = checksums.noted(root), set[str](), list[Path]()
    was_complete = checksums.is_complete(root)
    for path, digest in digests.items():
        if digest in known:
            continue
        reason = unreadable(path)
        if reason is not None:
            if path.exists():
                found.damaged.append(Damage(path.relative_to(root), reason))
        elif was_complete and not _may_be_unnoted(path):
            changed.append(path)
        else:
            adopted.add(digest)
    # Of a file that changed the former digest is still noted. Where there are fewer, the lists lost some.
    # What shares its content with another file tells nothing of that.
    unnoted = {digests[path] for path in changed if _differs_from_twin(path, root, digests) is False}
    are_lists_damaged = len(known - set(digests.values())) < len(unnoted)
    if are_lists_damaged and len(changed) > max(FEW, FEW_PART * len(digests)):
        healthy = [path for path in changed if not _differs_from_twin(path, root, digests)]
        found.relisted = len(healthy)
        unnoted |= {digests[path] for path in healthy}
        adopted |= unnoted
        changed = [path for path in changed if path not in healthy]
    why = "its bytes are not those that were written"
    found.damaged += [Damage(path.relative_to(root), why) for path in changed]
    if all(one.path.parts[0] in _TELL_NOTHING_OF_ROWS for one in found.damaged):
        with reading(root):
            found.gaps = _gaps(root, [one.path for one in found.damaged if one.path.parts[0] == "requests"])
    else:
        found.are_rows_counted = False
    found.adopted = len(adopted - unnoted)
    found.damaged.sort(key=lambda one: one.path)
    bad = {root / one.path for one in found.damaged}
    (root / checksums.FOLDER).mkdir(exist_ok=True)
    for path in digests:
        if path not in bad and _has_rows(path, root):
            checksums.note_name(path)
    # While a file is damaged the digest it had is kept: what is put in its place is held to it.
    there = {*digests.values(), *(known if found.damaged else ())}
    checksums.keep_only(root, there, time.time(), adopted)
    if not found.damaged:
        checksums.make_complete(root)
    return found


def accept(lake: Lake, path: Path) -> Path:
    """Hold the lake to a file as it is now, such as one that was copied from a backup; its path below.

    Of what is kept twice the copy follows. Raises ValueError: it is no file of the lake that can be read.
    """
    where = next((one for one in (path, lake.root / path) if one.is_file()), path).absolute()
    if not where.is_relative_to(lake.root.absolute()) or where.suffix != ".parquet" or not where.is_file():
        raise ValueError(f"{path} is no Parquet file of the lake in {lake.root}")
    name = where.relative_to(lake.root.absolute())
    with locked(lake.intake_lock), locked(lake.ledger_lock):
        if why := unreadable(where):
            raise ValueError(f"{path} {why}: copy it once more, or from another backup")
        checksums.note(lake.root / name)
        if _has_rows(lake.root / name, lake.root):
            checksums.note_name(lake.root / name)
        if is_kept_twice(name):
            keep_twice(lake.root / name, lake.root / twin_of(name))
    return name


def parquet_below(root: Path) -> Iterator[Path]:
    """All Parquet files, also of folders in whose place a link leads to another disk."""
    above = {os.path.realpath(root)}
    for where, folders, names in os.walk(root, followlinks=True):
        for name in list(folders):
            if (path := Path(where, name)).is_symlink():
                real = os.path.realpath(path)
                if real in above or os.path.realpath(where).startswith(f"{real}/"):
                    folders.remove(name)  # in a circle
                above.add(real)
        yield from (Path(where, name) for name in names if name.endswith(".parquet"))


def _is_read(path: Path, root: Path) -> bool:
    """Not what is in the making; the copy of the ledger is looked at like all else."""
    parts = path.relative_to(root).parts
    return parts[0] == LEDGER_COPY or not any(part.startswith(".") for part in parts)


def unreadable(path: Path) -> str | None:
    """Why its rows cannot be read, all of them; None: they can."""
    try:
        pl.read_parquet(path.read_bytes(), hive_partitioning=False)
    except FileNotFoundError:
        return None
    except (OSError, pl.exceptions.PolarsError) as error:
        return f"is no whole Parquet file ({str(error).splitlines()[0][:120]})"
    except BaseException as error:  # a panic of the reader on torn bytes is not an Exception
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        return f"is no whole Parquet file ({type(error).__name__})"
    return None


def _differs_from_twin(path: Path, root: Path, digests: dict[Path, str]) -> bool | None:
    """Whether a file that is kept twice is there with two contents; None: an empty table, like others."""
    if path.name == EMPTY:
        return None
    name = path.relative_to(root)
    return is_kept_twice(name) and digests.get(root / twin_of(name), digests[path]) != digests[path]


def _has_rows(path: Path, root: Path) -> bool:
    """Of one that must stay, and is no empty table of before anything was written to it."""
    if not checksums.MUST_STAY.fullmatch(path.relative_to(root).as_posix()) or not path.exists():
        return False
    return bool(pl.scan_parquet(path, hive_partitioning=False).select(pl.len()).collect().item())


def _may_be_unnoted(path: Path) -> bool:
    """Written right before the machine went down: its digest may not have come to the disk, the file did."""
    booted_s = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return booted_s - BEFORE_BOOT_S < path.stat().st_mtime < booted_s


def _gaps(root: Path, damaged: list[Path]) -> list[Gap]:
    """Files of the ledger whose rows are too few or too many; not those with days removed for their age.

    Nor those with a day of which a file is damaged: what is in it nobody knows.
    """
    lake, bad = Lake(root), {root / path for path in damaged}
    there = root / "requests" / "*" / "*.parquet"
    rows = (
        pl.scan_parquet(
            [path for path in sorted((root / "requests").glob("*/*.parquet")) if path not in bad]
            if bad
            else there,
            hive_partitioning=False,
        )
        .group_by("source", "file_id")
        .agg(pl.len().cast(pl.Int64).alias("found"))
        .collect()
    )
    taken = lake.ledger().filter(pl.col("status") == FileStatus.TAKEN.value)
    if first := lake.first_kept_day():
        taken = taken.filter(pl.from_epoch("first_us", time_unit="us").dt.date() >= first)
    days = sorted({date.fromisoformat(path.parent.name.removeprefix("day=")) for path in damaged})
    is_bad = pl.element().is_in(pl.Series(days, dtype=pl.Date).implode())
    taken = taken.filter(~pl.col("days").list.eval(is_bad).list.any().fill_null(False))
    told = taken.select("source", "file_name", "file_id", "requests")
    both = told.join(rows, on=["source", "file_id"], how="left").with_columns(pl.col("found").fill_null(0))
    wrong = both.filter(pl.col("found") != pl.col("requests"))
    return [
        Gap(source, name, file_id, wanted, got) for source, name, file_id, wanted, got in wrong.iter_rows()
    ]
