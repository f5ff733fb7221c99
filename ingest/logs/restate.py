"""Requests in the lake judged again under other lists: from the landing file, else from what was kept.

A landing file that is still there with the same content is read again, which is exact for every list. Without
it the stored rows are judged again (rejudge.py). Either way each Parquet file of the asked days is replaced
by one with the same requests, so that a killed run leaves nothing that the next one does not set right.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import polars as pl

from ingest.compaction import expand
from ingest.durable import locked
from ingest.lake import Lake, utc_now_us, write_requests_of_day
from ingest.logs.clean import Cleaner, Origin
from ingest.logs.errors import FileChanged, FileRefused
from ingest.logs.found import LandingFile, find_landing_files
from ingest.logs.keyring import KeyRing, key_epochs
from ingest.logs.known_agents import KnownAgents
from ingest.logs.landing import OpenFile, open_segments
from ingest.logs.networks import record_networks
from ingest.logs.read import Part, read
from ingest.logs.rejudge import rejudge
from ingest.logs.rules import Rules
from ingest.schema import DAY_US, FILES, REQUESTS, REQUESTS_ORDER, FileStatus, SourceClass
from ingest.settings import Settings
from ingest.sources import Sources
from ingest.suppression import Suppressions

_PATH = re.compile(r"(?P<source>[^.]+)\.(?P<file_id>[0-9a-f]{32})\.(?P<segment>[0-9]{4,})\.parquet")
_EPOCH = date(1970, 1, 1)
MOVED = {"former_reason": pl.String, "reason": pl.String, "requests": pl.Int64}

_OTHER_LINES = "its lines are read differently today, or its secret has changed"

Segments = dict[int, list[tuple[date, Path]]]  # number → its Parquet files by day
Progress = Callable[[int, int, str], None]  # files done, all files, the name of the one just done


class _ReadsOtherwise(Exception):
    """The landing file does not yield the rows that are in the lake; the message says why not."""


@dataclass
class RestateReport:
    """What one call of `restate_days` did."""

    rules_version: str
    days: list[date]  # of those asked for, the ones with requests
    requests: int = 0  # judged again
    changed: int = 0  # of those, with another value in any column but rules_version
    moved: pl.DataFrame = field(
        default_factory=lambda: pl.DataFrame(schema=MOVED)
    )  # all of them; null: counts
    read_again: int = 0  # files judged from landing
    from_lake: int = 0  # files judged from what was kept
    notes: list[str] = field(default_factory=list)  # why those, one a file


@dataclass(frozen=True)
class _Stored:
    """What the lake has of one landing file on the asked days."""

    source: str
    file_id: str
    names: tuple[str, ...]  # under which it was delivered
    source_class: str
    format: str
    size_bytes: int
    taken_in_us: int
    segments: Segments  # in order

    @property
    def days(self) -> set[date]:
        return {day for parts in self.segments.values() for day, _ in parts}

    @property
    def shown(self) -> str:
        return f"{self.source}/{self.names[0]}"


def restate_days(
    days: Sequence[date],
    settings: Settings,
    lake: Lake,
    rules: Rules,
    progress: Progress | None = None,
    keyring: KeyRing | None = None,
    now_us: int | None = None,
) -> RestateReport:
    """Judge all requests of these event days (UTC) by `rules`; a landing file is read once for all of them.

    Waits for an intake that is running. Raises OSError (disk full …); a rerun then completes it.
    """
    with locked(lake.intake_lock):
        expand(lake, days)
        rules.remember(settings, lake)
        return _Restatement(settings, lake, rules, keyring or KeyRing.of(settings)).run(
            set(days), progress, utc_now_us() if now_us is None else now_us
        )


class _Restatement:
    def __init__(self, settings: Settings, lake: Lake, rules: Rules, keys: KeyRing) -> None:
        self.settings, self.lake, self.rules, self.keys = settings, lake, rules, keys
        self.cleaner = Cleaner(rules, keys, suppressed=Suppressions.load(lake.root))
        self.known = KnownAgents(rules.agents)
        self.sources = Sources.load(settings)
        self.report = RestateReport(rules.version, [])

    def run(self, days: set[date], progress: Progress | None, now_us: int) -> RestateReport:
        stored = list(_stored(self.lake, days))
        landed = {(file.source, file.name): file for file in find_landing_files(self.settings)}
        left = Counter(day for file in stored for day in file.days)
        self.report.days = sorted(left)
        for done, file in enumerate(stored, 1):
            self._file(file, landed)
            for day in file.days:
                left[day] -= 1
                if not left[day]:
                    self.lake.record_restated(day, self.rules.version, now_us)
            if progress:
                progress(done, len(stored), file.shown)
        moved = self.report.moved.group_by("former_reason", "reason").agg(pl.col("requests").sum())
        self.report.moved = moved.sort("former_reason", "reason")
        return self.report

    def _file(self, file: _Stored, landed: dict[tuple[str, str], LandingFile]) -> None:
        left = dict(file.segments)
        try:
            self._read_again(file, left, landed)
            self.report.read_again += 1
        except (_ReadsOtherwise, FileChanged, FileRefused) as error:
            # What was read again so far stays: its rows were the same.
            self._judge_stored(file, left)
            self.report.from_lake += 1
            self.report.notes.append(f"{file.shown}: {error}")

    def _judge_stored(self, file: _Stored, left: Segments) -> None:
        intake_day = self._origin(file).intake_day
        for _, path in itertools.chain.from_iterable(left.values()):
            former = _rows(path)
            self._replace(path, former, rejudge(former, self.rules, intake_day, self.known))

    def _read_again(self, file: _Stored, left: Segments, landed: dict[tuple[str, str], LandingFile]) -> None:
        """Takes what it has replaced out of `left`. Raises _ReadsOtherwise, FileChanged and FileRefused."""
        if not all(self.keys.has(epoch) for epoch in key_epochs(file.days)):
            raise _ReadsOtherwise("the secret of its key epoch is gone")
        opened = self._opened(file, landed)
        with closing(opened.segments):
            source = self.sources.get(file.source)
            log_format = source.format_of(opened.head)
            if (file.format, file.source_class) != (log_format.NAME, log_format.SOURCE_CLASS):
                raise _ReadsOtherwise(
                    f"it was taken in as {file.format}, today it would be {log_format.NAME}"
                )
            self._write_again(file, left, read(opened.segments, log_format, source))

    def _opened(self, file: _Stored, landed: dict[tuple[str, str], LandingFile]) -> OpenFile:
        for name in file.names:
            found = landed.get((file.source, name))
            if found is not None and found.size_bytes == file.size_bytes:
                opened = open_segments(found.path, self.settings)
                if opened.file_id == file.file_id:
                    return opened
                opened.segments.close()
        raise _ReadsOtherwise("its landing file is gone")

    def _write_again(self, file: _Stored, left: Segments, parts: Iterator[Part]) -> None:
        """Rows go where rows of their lines are, also if segments are cut at another size today."""
        wanted = pl.Series([(day - _EPOCH).days for day in file.days])
        last_lines = {index: _last_line(stored) for index, stored in left.items()}
        waiting = pl.DataFrame(schema=REQUESTS)
        for part in parts:
            raw = part.requests.filter((pl.col("started_us") // DAY_US).is_in(wanted.implode()))
            waiting = pl.concat([waiting, self.cleaner.clean(raw, self._origin(file)).requests])
            for index in [index for index in left if last_lines[index] < part.next_line]:
                is_of_it = pl.col("line_number") <= last_lines[index]
                rows, waiting = waiting.filter(is_of_it), waiting.filter(~is_of_it)
                self._replace_segment(left[index], rows)
                del left[index]
        if waiting.height or left:
            raise _ReadsOtherwise(_OTHER_LINES)

    def _replace_segment(self, stored: list[tuple[date, Path]], rows: pl.DataFrame) -> None:
        started_on = pl.from_epoch("started_us", time_unit="us").dt.date()
        of_day = {day: rows.filter(started_on == day).sort(REQUESTS_ORDER) for day, _ in stored}
        former = {path: _rows(path) for _, path in stored}
        if sum(frame.height for frame in of_day.values()) != rows.height:
            raise _ReadsOtherwise(_OTHER_LINES)
        if not all(_are_same(former[path], of_day[day]) for day, path in stored):
            raise _ReadsOtherwise(_OTHER_LINES)
        # Before the requests: what names a network must be there when they are.
        record_networks(self.lake, self.rules.networks, set(rows["asn"].drop_nulls()))
        for day, path in stored:
            self._replace(path, former[path], of_day[day])

    def _replace(self, path: Path, former: pl.DataFrame, fresh: pl.DataFrame) -> None:
        write_requests_of_day(fresh, path)
        former, fresh = former.sort("line_number"), fresh.sort("line_number")
        judged = [name for name in REQUESTS if name != "rules_version"]
        differs = [former[name].ne_missing(fresh[name]).alias(name) for name in judged]
        self.report.requests += fresh.height
        self.report.changed += int(pl.DataFrame(differs).select(pl.any_horizontal(pl.all()).sum()).item())
        reasons = pl.DataFrame(
            {"former_reason": former["exclusion_reason"], "reason": fresh["exclusion_reason"]}
        )
        moved = reasons.group_by("former_reason", "reason").agg(pl.len().cast(pl.Int64).alias("requests"))
        self.report.moved = pl.concat([self.report.moved, moved])

    def _origin(self, file: _Stored) -> Origin:
        source_class = SourceClass(file.source_class)
        return Origin(file.file_id, file.source, source_class, file.taken_in_us, self.settings.max_future_h)


def _stored(lake: Lake, days: set[date]) -> Iterator[_Stored]:
    """Every landing file with rows on these days that the ledger knows."""
    found: dict[tuple[str, str], Segments] = {}
    for day in sorted(days):
        for path in sorted((lake.root / "requests" / f"day={day.isoformat()}").glob("*.parquet")):
            if match := _PATH.fullmatch(path.name):
                segments = found.setdefault((match["source"], match["file_id"]), {})
                segments.setdefault(int(match["segment"]), []).append((day, path))
    in_lake = [FileStatus.TAKEN.value, FileStatus.HELD.value]
    ledger = lake.ledger().sort("taken_in_us", "file_name").partition_by("source", "file_id", as_dict=True)
    for (source, file_id), segments in sorted(found.items()):
        rows = ledger.get((source, file_id), pl.DataFrame(schema=FILES))
        taken = rows.filter(pl.col("status").is_in(in_lake))
        # Without one it is what a killed intake left behind: nobody sees it, and its rerun writes it anew.
        for row in taken.head(1).iter_rows(named=True):
            names = dict.fromkeys([row["file_name"], *rows["file_name"]])
            known = {key: row[key] for key in ("source_class", "format", "size_bytes", "taken_in_us")}
            yield _Stored(source, file_id, tuple(names), segments=dict(sorted(segments.items())), **known)


def _rows(path: Path) -> pl.DataFrame:
    return pl.read_parquet(path, hive_partitioning=False, columns=list(REQUESTS))


def _last_line(stored: list[tuple[date, Path]]) -> int:
    """The last line that has a row in one of these files."""
    lines = pl.scan_parquet([path for _, path in stored], hive_partitioning=False).select("line_number")
    return int(lines.max().collect().item())


def _are_same(former: pl.DataFrame, fresh: pl.DataFrame) -> bool:
    """Are they the same requests, whatever is thought of them?"""
    columns = ["line_number", "started_us", "address_key"]
    return former.select(columns).sort(columns).equals(fresh.select(columns).sort(columns))
