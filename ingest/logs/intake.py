"""Landing files into the lake: each once, whole or not at all, with a ledger row of what became of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import polars as pl

from ingest.compaction import expand
from ingest.durable import locked
from ingest.lake import Lake, utc_now_us
from ingest.logs.clean import TOO_OLD, Cleaned, Cleaner, Origin
from ingest.logs.errors import FileChanged, FileRefused
from ingest.logs.formats.base import Format
from ingest.logs.found import LandingFile, find_landing_files
from ingest.logs.keyring import KeyRing, key_epochs
from ingest.logs.landing import OpenFile, open_segments
from ingest.logs.memory import keep_freed_memory
from ingest.logs.networks import record_networks
from ingest.logs.read import Part, read
from ingest.logs.rejects import LINE_REJECTS, rejects_of
from ingest.logs.rules import Rules
from ingest.logs.tally import Tally, refused_lines
from ingest.schema import FILES, FileStatus
from ingest.settings import Settings
from ingest.sources import Sources
from ingest.suppression import Suppressions

__all__ = ["IntakeReport", "LandingFile", "find_landing_files", "take_in"]

# Ledger rows are committed together, since each commit rewrites the ledger of the day.
COMMIT_FILES = 50
COMMIT_S = 5.0
# Small files wait to be cleaned together, up to this: more would only cost memory.
TOGETHER_ROWS = 131_072
PREVIEW_ROWS = 10
MARKS = ".intake"  # below the lake: a file for each landing file being taken in
AGAIN = b"again"  # in it where the ledger knew the file before: its row does not prove that this time ended

Progress = Callable[[int, int, LandingFile], None]  # files done, all files, the one just done


@dataclass
class IntakeReport:
    """What one call of `take_in` did."""

    files: pl.DataFrame  # FILES: one row a file recorded
    skipped: int  # files known before, unchanged
    changed: list[tuple[LandingFile, str]]  # not recorded and why: to be tried again
    days: list[date]  # event days that got rows
    preview: pl.DataFrame  # how those of the first segment were judged: counts, nobody's request

    def count(self, status: FileStatus) -> int:
        """Number of files recorded with this status."""
        return int((self.files["status"] == status.value).sum())

    @property
    def requests(self) -> int:
        """Requests written."""
        return int(self.files["requests"].sum())

    @property
    def rejects(self) -> int:
        """Lines that could not be read."""
        return int(self.files["rejects"].sum())


def take_in(
    files: Sequence[LandingFile],
    settings: Settings,
    lake: Lake,
    now_us: int | None = None,
    progress: Progress | None = None,
    keyring: KeyRing | None = None,
    force: bool = False,
    rules: Rules | None = None,
) -> IntakeReport:
    """Take `files` into `lake`, each at most once.

    A file known under the same name and content is skipped (unless `force`, which writes the same bytes
    again); the same content under another name is recorded as a duplicate. progress: called with (files done,
    all, the last one). rules: the lists to judge by, else those of `settings`. Raises OSError (disk full …)
    after the files before it were committed; nothing of the failed one is visible.
    """
    sources = Sources.load(settings)
    rules = rules or Rules.load(settings)
    keyring = keyring or KeyRing.of(settings)
    rules.remember(settings, lake)
    rules.write_address_lists(lake, keyring)
    keep_freed_memory()
    # One intake a lake at a time: another one's half-written files must not look like a dead one's.
    with locked(lake.intake_lock):
        cleaner = Cleaner(rules, keyring, lake.first_kept_day(), Suppressions.load(lake.root))
        intake = _Intake(settings, lake, cleaner, sources, utc_now_us() if now_us is None else now_us, force)
        try:
            for done, landed in enumerate(files, 1):
                intake.take(landed)
                if progress:
                    progress(done, len(files), landed)
        finally:
            intake.commit()
    if intake.recorded:
        rules.write_address_lists(lake, keyring)  # also by keys that these files were the first to need
    recorded = pl.DataFrame(intake.recorded, schema=FILES, orient="row")
    days = sorted(recorded["days"].explode().drop_nulls().unique().to_list())
    return IntakeReport(recorded, intake.skipped, intake.changed, days, intake.preview)


@dataclass(eq=False)
class _Taking:
    """A file being taken in."""

    landed: LandingFile
    opened: OpenFile
    origin: Origin
    log_format: Format
    marker: Path
    earlier: set[Path]  # what an earlier intake wrote of it
    former: dict[str, object] | None = None  # its row of the ledger, of a file that counts already
    tally: Tally = field(default_factory=Tally)
    is_read: bool = False


class _Intake:
    def __init__(
        self, settings: Settings, lake: Lake, cleaner: Cleaner, sources: Sources, now_us: int, force: bool
    ) -> None:
        self.settings, self.lake, self.cleaner, self.sources = settings, lake, cleaner, sources
        self.now_us, self.force = now_us, force
        self.recorded: list[dict[str, object]] = []
        self.skipped = 0
        self.changed: list[tuple[LandingFile, str]] = []
        self.preview = pl.DataFrame()
        self._uncommitted: list[dict[str, object]] = []
        self._markers: list[Path] = []
        self._waiting: list[tuple[_Taking, Part]] = []  # read, to be cleaned; of each file one part
        self._asns: set[int] = set()
        self._last_commit = time.monotonic()
        ledger = lake.ledger().sort("taken_in_us", descending=True)
        # What was refused or held may be fine under today's settings: only the others are done with.
        self._listed = set(ledger.select("source", "file_id").rows())
        self._clear_marks()
        done = ledger.filter(pl.col("status").is_in([FileStatus.TAKEN.value, FileStatus.DUPLICATE.value]))
        taken = done.filter(pl.col("status") == FileStatus.TAKEN.value)
        key = ["source", "file_name", "file_id"]
        self._days = ledger.select("source", "file_id", "days")
        self._unchanged = set(done.select("source", "file_name", "size_bytes", "modified_ns").rows())
        self._done = set(done.select(key).rows())
        self._taken_in_us = {row[:3]: row[3] for row in ledger.select(*key, "taken_in_us").iter_rows()}
        # Taken in again a file keeps what is told of lines whose requests were removed for their age.
        again = taken.iter_rows(named=True) if force else ()
        self._counting = {tuple(row[name] for name in key): row for row in again}
        self._name_of = {
            row[:2]: row[2] for row in taken.select("source", "file_id", "file_name").iter_rows()
        }

    def _clear_marks(self) -> None:
        """Killed after the ledger row was committed, an intake leaves a mark, which bars compaction."""
        for marker in (self.lake.root / MARKS).glob("*"):
            if tuple(marker.name.rsplit(".", 1)) in self._listed and not marker.stat().st_size:
                marker.unlink()

    def take(self, landed: LandingFile) -> None:
        if not self.force and landed.identity in self._unchanged:
            self.skipped += 1
            return
        try:
            self._take(landed)
        except FileChanged as error:
            self.changed.append((landed, str(error)))
        files = len(self._uncommitted) + len(self._waiting)
        if files >= COMMIT_FILES or time.monotonic() - self._last_commit > COMMIT_S:
            self.commit()

    def commit(self) -> None:
        try:
            self._clean_waiting()
        finally:
            self._commit()

    def _commit(self) -> None:
        record_networks(self.lake, self.cleaner.rules.networks, self._asns)
        self._asns.clear()
        if self._uncommitted:
            self.lake.record(pl.DataFrame(self._uncommitted, schema=FILES, orient="row"))
        for marker in self._markers:
            marker.unlink(missing_ok=True)
        self._uncommitted, self._markers, self._last_commit = [], [], time.monotonic()

    def _take(self, landed: LandingFile) -> None:
        try:
            opened = open_segments(landed.path, self.settings)
        except FileRefused as error:
            if error.file_id:
                self._expand(landed.source, error.file_id)
            self._refuse(landed, error.file_id or "0" * 32, None, str(error))
            return
        # It may have been replaced since it was listed.
        landed = replace(landed, size_bytes=opened.size_bytes, modified_ns=opened.modified_ns)
        if any(opened.file_id == taking.origin.file_id for taking, _ in self._waiting):
            self._clean_waiting()
        known = (landed.source, landed.name, opened.file_id)
        original = self._name_of.get((landed.source, opened.file_id))
        if original is not None and original != landed.name:
            opened.segments.close()
            reason = f"the same content as '{original}'"
            self._record(landed, opened.file_id, FileStatus.DUPLICATE, reason, Tally(), None, False)
            return
        if known in self._done and not self.force:
            opened.segments.close()
            self.skipped += 1
            return
        if known in self._done and not self._can_key_again(landed.source, opened.file_id):
            # Its requests would all become rejects: what was taken in while there were keys stays.
            opened.segments.close()
            self.skipped += 1
            return
        self._write(landed, opened, self._taken_in_us.get(known, self.now_us))

    def _can_key_again(self, source: str, file_id: str) -> bool:
        its = self._days.filter((pl.col("source") == source) & (pl.col("file_id") == file_id))
        days = its["days"].explode().drop_nulls().unique().to_list()
        return not any(self.cleaner.keys.is_destroyed(epoch) for epoch in key_epochs(days))

    def _write(self, landed: LandingFile, opened: OpenFile, taken_in_us: int) -> None:
        log_format: Format | None = None
        marker = self.lake.root / MARKS / f"{landed.source}.{opened.file_id}"
        # Looked for only where there may be any, since it lists the whole lake.
        if is_again := self.force or marker.exists():
            self._expand(landed.source, opened.file_id)
        earlier = self._all_of(opened, landed) if is_again else set()
        marker.parent.mkdir(exist_ok=True)
        if not marker.exists():
            marker.write_bytes(AGAIN if (landed.source, opened.file_id) in self._listed else b"")
        try:
            log_format = self.sources.get(landed.source).format_of(opened.head)
            origin = Origin(
                opened.file_id,
                landed.source,
                log_format.SOURCE_CLASS,
                taken_in_us,
                self.settings.max_future_h,
            )
            former = self._counting.get((landed.source, landed.name, opened.file_id))
            taking = _Taking(landed, opened, origin, log_format, marker, earlier, former)
            for part in read(opened.segments, log_format, self.sources.get(landed.source)):
                if part.segment.index:
                    self._clean_waiting()
                self._waiting.append((taking, part))
                if part.segment.index or self._are_enough():
                    self._clean_waiting()
            taking.is_read = True
            self._unchanged.add(landed.identity)
            if not self._waiting:
                self._finish(taking)
        except FileRefused as error:
            self._forget(opened)
            _remove(self._all_of(opened, landed))
            self._refuse(landed, opened.file_id, log_format, str(error))
            return
        except BaseException:
            self._forget(opened)
            # What an earlier intake committed stays: the ledger vouches for it.
            _remove(self._all_of(opened, landed) - earlier)
            raise
        finally:
            opened.segments.close()

    def _are_enough(self) -> bool:
        rows = sum(part.requests.height for _, part in self._waiting)
        size = sum(len(part.segment.body) for _, part in self._waiting)
        return rows >= TOGETHER_ROWS or size >= self.settings.segment_bytes

    def _forget(self, opened: OpenFile) -> None:
        self._waiting = [(taking, part) for taking, part in self._waiting if taking.opened is not opened]

    def _clean_waiting(self) -> None:
        """Clean what waits and write it, file by file. Raises OSError; the files before are finished."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        unfinished = [taking for taking, _ in waiting]
        try:
            cleaned = self.cleaner.clean_together(
                [(part.requests, taking.origin) for taking, part in waiting]
            )
            for (taking, part), requests in zip(waiting, cleaned, strict=True):
                self._keep(taking, part, requests)
                if taking.is_read:
                    self._finish(taking)
                unfinished.remove(taking)
        except BaseException:
            for taking in unfinished:
                _remove(self._all_of(taking.opened, taking.landed) - taking.earlier)
            raise

    def _finish(self, taking: _Taking) -> None:
        """All of a file is in the lake: its rejects, its ledger row."""
        landed, opened, log_format, tally = taking.landed, taking.opened, taking.log_format, taking.tally
        rejects = tally.stored_rejects(opened.file_id, landed.source, landed.name)
        self.lake.write_rejects(rejects, landed.source, opened.file_id)
        _remove(taking.earlier - tally.written)
        self._markers.append(taking.marker)
        status, reason = tally.verdict(rejects.height, log_format.NAME, self.settings)
        reason = reason or opened.oddity
        if self.sources.get(landed.source).trusted_proxies and tally.requests and not tally.forwarded:
            reason = reason or "no line has X-Forwarded-For: all listeners are its proxies (trusted_proxies)"
        self._record(
            landed,
            opened.file_id,
            status,
            reason,
            tally,
            log_format,
            opened.is_truncated,
            rejects.height,
            taking.origin.taken_in_us,
            taking.former if tally.expired else None,
        )

    def _keep(self, taking: _Taking, part: Part, cleaned: Cleaned) -> None:
        """Write what became of a part, and count it."""
        origin, tally = taking.origin, taking.tally
        segment, lines, parsed = part.segment, part.lines, part.parsed
        tally.next_line = part.next_line
        tally.forwarded += part.requests.height - part.requests["forwarded_for"].null_count()
        bad_lines = rejects_of(
            (lines.first_line + bad.row, bad.reason, bad.text) for bad in segment.bad_lines
        )
        is_expired = pl.col("reason").str.starts_with(TOO_OLD)
        if taking.former:
            tally.expired += cleaned.refused.filter(is_expired).height
            refused = refused_lines(cleaned.refused.filter(~is_expired), lines)
        else:
            refused = refused_lines(cleaned.refused, lines)
        tally.rejects += [parsed.rejects, bad_lines, refused]
        tally.directives += parsed.directives - len(segment.bad_lines)  # they were left blank
        tally.erased += cleaned.erased.height
        tally.add_requests(cleaned.requests)
        for day in self.lake.write_requests(cleaned.requests, origin.source, origin.file_id, segment.index):
            tally.days.add(day)
            tally.written.add(self.lake.requests_path(origin.source, origin.file_id, day, segment.index))
        if cleaned.requests.height and not self.preview.height:
            self.preview = _preview(cleaned.requests)
        self._asns.update(cleaned.requests["asn"].drop_nulls().unique())

    def _expand(self, source: str, file_id: str) -> None:
        """Files of its own for the rows of a file that may have been merged with others."""
        its = self._days.filter((pl.col("source") == source) & (pl.col("file_id") == file_id))
        if its.height:
            expand(self.lake, set(its["days"].explode().drop_nulls()), source)

    def _all_of(self, opened: OpenFile, landed: LandingFile) -> set[Path]:
        pattern = f"day=*/{landed.source}.{opened.file_id}.*.parquet"
        return set((self.lake.root / "requests").glob(pattern))

    def _refuse(self, landed: LandingFile, file_id: str, log_format: Format | None, reason: str) -> None:
        row = {"line_number": 0, "reason": reason, "text": ""}
        tally = Tally(rejects=[pl.DataFrame([row], schema=LINE_REJECTS)])
        self.lake.write_rejects(
            tally.stored_rejects(file_id, landed.source, landed.name), landed.source, file_id
        )
        self._record(landed, file_id, FileStatus.REJECTED, reason, Tally(), log_format, False)

    def _record(
        self,
        landed: LandingFile,
        file_id: str,
        status: FileStatus,
        reason: str | None,
        tally: Tally,
        log_format: Format | None,
        is_truncated: bool,
        rejects: int = 0,
        taken_in_us: int | None = None,
        former: dict[str, object] | None = None,
    ) -> None:
        self._clean_waiting()  # in the order of the files
        known = (landed.source, landed.name, file_id)
        row: dict[str, object] = {
            "file_id": file_id,
            "source": landed.source,
            "source_class": log_format.SOURCE_CLASS.value if log_format else None,
            "format": log_format.NAME if log_format else None,
            "file_name": landed.name,
            "status": status.value,
            "reason": reason,
            "size_bytes": landed.size_bytes,
            "modified_ns": landed.modified_ns,
            "lines": tally.lines - tally.erased,
            "directives": tally.directives,
            "requests": tally.requests,
            "rejects": rejects,
            "is_truncated": is_truncated,
            "is_comparable": self.sources.get(landed.source).is_comparable(log_format),
            "first_us": tally.first_us,
            "last_us": tally.last_us,
            "days": sorted(tally.days),
            "taken_in_us": taken_in_us or self._taken_in_us.get(known, self.now_us),
        }
        if former and status is FileStatus.TAKEN:
            row |= {name: former[name] for name in ("lines", "directives", "requests", "rejects", "first_us")}
        self._uncommitted.append(row)
        self.recorded.append(row)
        self._unchanged.add(landed.identity)
        if status is FileStatus.TAKEN:
            self._name_of[(landed.source, file_id)] = landed.name


def _remove(paths: set[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _preview(requests: pl.DataFrame) -> pl.DataFrame:
    what = ("exclusion_reason", "app", "source_class")
    judged = requests.group_by(what).agg(requests=pl.len()).select("requests", *what)
    return judged.sort("requests", *what, descending=[True, False, False, False]).head(PREVIEW_ROWS)
