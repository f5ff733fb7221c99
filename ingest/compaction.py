"""The many small files of an event day made few large ones, and back.

A day's new folder is made ready beside the requests, then swapped with the old one in a single step
(`durable.exchange`): who lists the day finds all its rows once, before and after it and after a crash,
which leaves at most a folder to clear away. Who has listed files and not yet opened them would find them
gone; readers of our own hold `lake.reading`, for which the swap waits.

What addresses rows by landing file (a forced intake, a restatement) calls `expand` first, which gives back
the files as intake wrote them; the next compaction merges them again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from ingest.durable import exchange, locked, sync
from ingest.lake import READERS_LOCK, Lake, write_parquet, write_requests_of_day
from ingest.schema import REQUESTS, REQUESTS_ORDER, FileStatus

# Rows are read and written so many at a time, which bounds memory; more only where one enclosure has more.
ROWS_A_FILE = 1_000_000
ROW_GROUP = 122_880  # DuckDB's own: enough that four threads share a file, few enough to skip others
ASIDE = ".compaction"  # below the lake: folders not yet, or no longer, part of it
_SMALL = re.compile(r"(?P<source>[^.]+)\.(?P<file_id>[0-9a-f]{32})\.(?P<segment>[0-9]{4,})\.parquet")
_LARGE = re.compile(r"(?P<source>[^.]+)\.compacted\.[0-9a-f]{32}\.parquet")
_SEGMENTS = "earshot.segments"  # in a compacted file's metadata: JSON of Segments
_LEAST_KEY = -(2**63)

# Of all files of a (day, source): file_id → [number, last line with a row] of each segment, in order.
Segments = dict[str, list[list[int]]]
Progress = Callable[[int, int], None]  # days done, all days


@dataclass(frozen=True)
class Compacted:
    """The files of one source on one event day that were merged, and what became of them."""

    day: date
    source: str
    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int
    rows: int


def compact(lake: Lake, last_day: date, progress: Progress | None = None) -> list[Compacted]:
    """Merge the small files of each event day up to `last_day`, source by source; nothing new is no work.

    Files that are held back or being taken in stay as they are. Waits for an intake, then holds up others for
    one day at a time. Raises OSError (disk full, folders that cannot be swapped); what was done stays done.
    """
    with locked(lake.intake_lock):
        clear_aside(lake)
    days = [day for day in lake.event_days() if day <= last_day]
    done: list[Compacted] = []
    for number, day in enumerate(days, 1):
        if len(list(lake.day_folder(day).iterdir())) > 1:
            with locked(lake.intake_lock):
                done += _compact_day(lake, day)
        if progress:
            progress(number, len(days))
    return done


def expand(lake: Lake, days: Collection[date], source: str | None = None) -> None:
    """Give compacted event days back the files that intake wrote, of one source or all.

    For holders of `lake.intake_lock`. Raises OSError, leaving the day as it was.
    """
    for day in sorted(days):
        merged = {
            its: large for its, (_, large) in _files_of(lake, day).items() if large and source in (None, its)
        }
        if merged:
            with _replaced(lake, day, {path for paths in merged.values() for path in paths}) as folder:
                for its, paths in merged.items():
                    _split(paths, its, folder)


def clear_aside(lake: Lake) -> None:
    """Remove what a killed run left beside the lake. For holders of `lake.intake_lock`."""
    shutil.rmtree(lake.root / ASIDE, ignore_errors=True)


def _compact_day(lake: Lake, day: date) -> list[Compacted]:
    mergeable = {
        source: files
        for source, files in _files_of(lake, day).items()
        if files[0] and sum(map(len, files)) > 1
    }
    if not mergeable:
        return []
    merging: dict[str, tuple[list[Path], list[Path]]] = {}
    settled = _settled(lake)
    for source, (small, large) in mergeable.items():
        ours = [path for path in small if tuple(path.name.split(".")[:2]) in settled]
        if ours and len(ours) + len(large) > 1:
            merging[source] = ours, large
    if not merging:
        return []
    done = []
    gone = {path for small, large in merging.values() for path in [*small, *large]}
    with _replaced(lake, day, gone) as folder:
        for source, (small, large) in merging.items():
            before = [*small, *large]
            after = _merge(small, large, source, folder)
            rows = _rows_in(before)
            if _rows_in(after) != rows:
                raise AssertionError(f"compaction of {day} {source} would not keep its {rows} rows")
            done.append(Compacted(day, source, len(before), len(after), _size(before), _size(after), rows))
    return done


def _settled(lake: Lake) -> set[tuple[str, str]]:
    """(source, file_id) that no intake will write again unless forced to."""
    taken = lake.ledger().filter(pl.col("status") == FileStatus.TAKEN.value)
    marked = lake.root / ".intake"
    unsettled = {path.name for path in marked.iterdir()} if marked.exists() else set()
    return {key for key in taken.select("source", "file_id").iter_rows() if ".".join(key) not in unsettled}


def _files_of(lake: Lake, day: date) -> dict[str, tuple[list[Path], list[Path]]]:
    """By source the day's files as intake wrote them and the compacted ones, by name."""
    found: dict[str, tuple[list[Path], list[Path]]] = defaultdict(lambda: ([], []))
    for path in sorted(lake.day_folder(day).glob("*.parquet")):
        if match := _SMALL.fullmatch(path.name):
            found[match["source"]][0].append(path)
        elif match := _LARGE.fullmatch(path.name):
            found[match["source"]][1].append(path)
    return dict(sorted(found.items()))


@contextmanager
def _replaced(lake: Lake, day: date, gone: Collection[Path]) -> Iterator[Path]:
    """A folder for the files that come into the place of those in `gone`; at the end it is the day's."""
    clear_aside(lake)
    folder, fresh = lake.day_folder(day), lake.root / ASIDE / f"day={day.isoformat()}"
    fresh.mkdir(parents=True)
    try:
        yield fresh
        for path in folder.glob("[!.]*"):
            if path not in gone:
                os.link(path, fresh / path.name)
        sync(fresh)
        with locked(lake.root / READERS_LOCK):
            exchange(fresh, folder)
        sync(folder.parent)
    finally:
        clear_aside(lake)


def _merge(small: list[Path], large: list[Path], source: str, folder: Path) -> list[Path]:
    """Write the rows of these files of a (day, source) in few files, each with its span of enclosures."""
    metadata = {_SEGMENTS: json.dumps(_segments(small, large), sort_keys=True, separators=(",", ":"))}
    rows = _scan([*small, *large])
    key = pl.col("enclosure_key").fill_null(_LEAST_KEY)
    written = []
    for first, end in _spans(rows.group_by(key).len().sort("enclosure_key").collect()):
        is_in_span = (key >= first) if end is None else (key >= first) & (key < end)
        merged = rows.filter(is_in_span).collect().sort([*REQUESTS_ORDER, "file_id"]).rechunk()
        path = folder / f".{source}.parquet"
        write_parquet(merged, path, ROW_GROUP, metadata)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:32]
        # Named by its content: a name that someone has listed never leads to other rows.
        written.append(path.rename(folder / f"{source}.compacted.{digest}.parquet"))
    return written


def _split(large: list[Path], source: str, folder: Path) -> None:
    """Write the rows of compacted files of a (day, source) as intake did: each landing file's apart."""
    segments = _segments([], large)
    rows = _scan(large)
    counts = rows.group_by("file_id").len().sort("file_id").collect()
    batch = (pl.col("len").cum_sum() - pl.col("len")) // ROWS_A_FILE
    for files in counts.with_columns(batch=batch).partition_by("batch", maintain_order=True):
        some = rows.filter(pl.col("file_id").is_in(files["file_id"].implode())).collect()
        for (file_id,), of_file in some.partition_by("file_id", as_dict=True).items():
            left = of_file.sort(REQUESTS_ORDER)
            for number, last_line in segments[str(file_id)]:
                is_of_it = pl.col("line_number") <= last_line
                path = folder / f"{source}.{file_id}.{number:04d}.parquet"
                write_requests_of_day(left.filter(is_of_it).rechunk(), path)
                left = left.filter(~is_of_it)
    if _rows_in(list(folder.glob(f"{source}.*.parquet"))) != _rows_in(large):
        raise AssertionError(f"expanding {source} in {folder.name} would not keep its rows")


def _spans(counts: pl.DataFrame) -> list[tuple[int, int | None]]:
    """Spans of enclosure keys, first inclusive, end exclusive, of about ROWS_A_FILE rows each.

    counts: enclosure_key in order, len.
    """
    number = (pl.col("len").cum_sum() - pl.col("len")) // ROWS_A_FILE
    firsts = counts.group_by(number.alias("number")).agg(pl.col("enclosure_key").min())
    keys = firsts["enclosure_key"].sort().to_list()
    return list(zip(keys, [*keys[1:], None], strict=True))


def _segments(small: list[Path], large: list[Path]) -> Segments:
    found: Segments = {}
    for path in large:  # each of them tells of all
        found |= json.loads(pl.read_parquet_metadata(path)[_SEGMENTS])
    if small:
        scan = pl.scan_parquet(small, hive_partitioning=False, include_file_paths="path")
        last = scan.group_by("path").agg(pl.col("line_number").max()).collect()
        for name, last_line in sorted((Path(path).name, line) for path, line in last.iter_rows()):
            _, file_id, number, _ = name.split(".")
            found.setdefault(file_id, []).append([int(number), last_line])
    return {file_id: sorted(segments) for file_id, segments in sorted(found.items())}


def _scan(paths: list[Path]) -> pl.LazyFrame:
    return pl.scan_parquet(paths, hive_partitioning=False).select(list(REQUESTS))


def _size(paths: list[Path]) -> int:
    return sum(path.stat().st_size for path in paths)


def _rows_in(paths: list[Path]) -> int:
    return int(pl.scan_parquet(paths, hive_partitioning=False).select(pl.len()).collect().item())
