"""Where Parquet lies; atomic, idempotent writes; the ledger of files taken in.

    lake/requests/day=YYYY-MM-DD/<source>.<file_id>.<segment>.parquet
                                <source>.compacted.<sha256>.parquet    the same of many files (compaction.py)
    lake/rejects/<source>.<file_id>.parquet
    lake/files/day=YYYY-MM-DD/<source>.parquet      the ledger, by day of intake
    lake/rules/<rules_version>.parquet              the lists behind each version that judged a request
    lake/restated/day=YYYY-MM-DD.parquet            which event days were judged again, when
    lake/restatements/<restated_us>.parquet         the figures published before each restatement; `.begun`
                                                    while its days are being judged
    lake/restatements_told/<restated_us>.parquet    what was first published as its effect (serving/told.py)
    lake/app_devices/day=YYYY-MM-DD/*.parquet       plays that apps told of, by installation
    lake/insertions/day=YYYY-MM-DD/*.parquet        what dynamic insertion served of collaborations
    lake/networks.parquet  lake/address_lists.parquet  lake/catalog/episodes.parquet
    lake/catalog/shard=NNN/  lake/changes/          what feeds say and how it changed (feeds/state.py)
    lake/registry/podcasts.parquet                  the podcasts tracked, as the registry has them
    lake/registry/collaborations.parquet            who appeared in whose episodes, as the registry has it
    lake/suppressed.parquet                         whose requests were erased (suppression.py)
    lake/kept.parquet                               from which event day on requests are kept (retention.py)
    lake/FORMAT                                     the layout's version
    lake/.checksums/                                of every Parquet file above (checksums.py)
    lake/.ledger/day=YYYY-MM-DD/<source>.parquet    the ledger once more, should a file of it be damaged
    lake/.ledger/suppressed.parquet                 and whose requests were erased
    lake/.ledger/restatements_told/                 and what was published of restatements

A landing file's rows lie where its content hash says, so taking it in twice writes the same bytes to the same
place. The ledger row is the commit: readers use only rows whose file the ledger calls `taken`, so whatever a
killed run left behind is invisible until a rerun completes it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import xxhash

from ingest import checksums
from ingest.durable import locked, replacing, sync, write_atomically
from ingest.feeds import schema as feeds
from ingest.numbered import numbered, plain_texts
from ingest.schema import (
    ADDRESS_LISTS,
    APP_DEVICES,
    EPISODES,
    FILES,
    FORMER_FIGURES,
    INSERTIONS,
    KEPT,
    NETWORKS,
    REJECTS,
    REQUESTS,
    RESTATED,
    RULES,
    TOLD_FIGURES,
    Schema,
    conform,
)

FORMAT = "2"  # raised when a column of a frame below is added or changes its meaning
# Last in the glob: DuckDB guesses a table's size by its first file, and joins the wrong way round after an
# empty one (twice the memory, a fifth more CPU).
LAST = "day=9999-12-31"
LAST_SHARD = "shard=999"  # for the same reason
READERS_LOCK = ".readers.lock"
LEDGER_COPY = ".ledger"
_NO_ROOM_BYTES = 1 << 20
GONE = "it is not there any more"
SUPPRESSED_FILE = "suppressed.parquet"
TOLD = "restatements_told"
BEGUN = ".begun"  # in the place of .parquet
QUICK = 1  # zstd's level for what is compacted within days: † a sixth less CPU, 2 % more bytes
EMPTY = "_empty.parquet"  # carries the schema, so that a glob over an empty table still reads


def write_parquet(
    frame: pl.DataFrame,
    path: Path,
    row_group_size: int | None = None,
    metadata: dict[str, str] | None = None,
    level: int = 3,
) -> None:
    """Write `frame` as zstd Parquet at `path`, atomically. Raises OSError, leaving no trace.

    row_group_size: rows; None: the writer's default. metadata: of the file, beside its schema. level: zstd's.
    """
    with replacing(path) as temporary:
        try:
            frame.write_parquet(
                temporary,
                compression="zstd",
                compression_level=level,
                statistics=True,
                row_group_size=row_group_size,
                metadata=metadata,
            )
        except pl.exceptions.ComputeError as error:  # how Polars tells that the disk is full, at times
            is_full = "No space" in str(error) or shutil.disk_usage(path.parent).free < _NO_ROOM_BYTES
            code = errno.ENOSPC if is_full else errno.EIO
            raise OSError(code, f"{os.strerror(code)} ({error})", str(path)) from error
        checksums.note(temporary)
    if frame.height:
        checksums.note_name(path)


def write_requests_of_day(requests: pl.DataFrame, path: Path) -> None:
    """Write REQUESTS of a landing file's segment and day: whoever does, the same rows are the same bytes."""
    write_parquet(numbered(requests), path, metadata=plain_texts(requests), level=QUICK)


class LakeFormatError(RuntimeError):
    """The lake has another layout; the message says what to do."""


class LakeDamaged(RuntimeError):
    """A file of the lake cannot be read; the message names it and says what to do."""

    def __init__(self, message: str, is_in_backup_alone: bool = False) -> None:
        super().__init__(message)
        self.is_in_backup_alone = is_in_backup_alone


@dataclass(frozen=True)
class Lake:
    """The lake below `root`; creates its folders and empty tables on first use. Raises LakeFormatError."""

    root: Path

    def __post_init__(self) -> None:
        marker = self.root / "FORMAT"
        if not marker.exists():
            if (self.root / checksums.FOLDER).exists():
                raise LakeFormatError(self._told_without_layout("is not there any more"))
            if (self.root / "requests").exists():
                raise LakeFormatError(self._advice("1"))
            marker.parent.mkdir(parents=True, exist_ok=True)
            if not any(self.root.iterdir()):
                checksums.make_complete(self.root)
            write_atomically(marker, FORMAT.encode())
        elif (found := marker.read_bytes().decode(errors="replace").strip()) != FORMAT:
            if not found.isdecimal():
                raise LakeFormatError(self._told_without_layout("is damaged: it names no layout"))
            raise LakeFormatError(self._advice(found))
        for table, schema in (
            (self.root / "requests" / LAST, REQUESTS),
            (self.root / "rejects", REJECTS),
            (self.root / "files" / LAST, FILES),
            (self.root / "rules", RULES),
            (self.root / "restated", RESTATED),
            (self.root / "restatements", FORMER_FIGURES),
            (self.root / TOLD, TOLD_FIGURES),
            (self.root / "app_devices" / LAST, APP_DEVICES),
            (self.root / "insertions" / LAST, INSERTIONS),
            (self.root / "catalog" / LAST_SHARD / "podcasts", feeds.PODCASTS),
            (self.root / "catalog" / LAST_SHARD / "episodes", feeds.EPISODES),
            (self.root / "catalog" / LAST_SHARD / "items", feeds.ITEMS),
            (self.root / "changes" / LAST, feeds.CHANGES),
        ):
            if not (table / EMPTY).exists():
                write_parquet(_empty(schema), table / EMPTY)
        for path, schema in (
            (self.episodes_path, EPISODES),
            (self.networks_path, NETWORKS),
            (self.address_lists_path, ADDRESS_LISTS),
            (self.kept_path, KEPT),
            (self.root / "catalog" / LAST_SHARD / "state.parquet", feeds.STATE),
            (self.registered_path, feeds.REGISTERED),
            (self.collaborations_path, feeds.COLLABORATIONS),
        ):
            # One that had rows is not made anew without: that would change figures, and nobody would see it.
            if not path.exists() and path.relative_to(self.root) not in checksums.must_be_there(self.root):
                write_parquet(_empty(schema), path)

    def _told_without_layout(self, what: str) -> str:
        """Layouts without lists of checksums are older than the present one, so what lies there is of it."""
        return (
            f"{self.root / 'FORMAT'} {what}. The lake beside it need not be lost: `printf {FORMAT} >"
            f" {self.root / 'FORMAT'}` if it was this Earshot's, then `earshot verify`"
        )

    def _advice(self, found: str) -> str:
        return (
            f"the lake in {self.root} has layout {found}, this Earshot writes {FORMAT}: move it and "
            "warehouse.duckdb away, and the files in the landing folder are taken in again"
        )

    @property
    def episodes_path(self) -> Path:
        return self.root / "catalog" / "episodes.parquet"

    @property
    def networks_path(self) -> Path:
        return self.root / "networks.parquet"

    @property
    def address_lists_path(self) -> Path:
        return self.root / "address_lists.parquet"

    @property
    def kept_path(self) -> Path:
        return self.root / "kept.parquet"

    @property
    def registered_path(self) -> Path:
        return self.root / "registry" / "podcasts.parquet"

    @property
    def collaborations_path(self) -> Path:
        return self.root / "registry" / "collaborations.parquet"

    @property
    def intake_lock(self) -> Path:
        """Held by whoever writes, moves or removes requests: one at a time."""
        return self.root / ".intake.lock"

    @property
    def ledger_lock(self) -> Path:
        """Held by whoever writes the ledger or its copy."""
        return self.root / ".ledger.lock"

    def day_folder(self, day: date) -> Path:
        return self.root / "requests" / f"day={day.isoformat()}"

    def event_days(self) -> list[date]:
        """Event days with a folder of requests, in order."""
        names = (path.name.removeprefix("day=") for path in (self.root / "requests").glob("day=*"))
        return sorted(date.fromisoformat(name) for name in names if f"day={name}" != LAST)

    def first_kept_day(self) -> date | None:
        """Requests of earlier event days were removed for their age; None: none ever were."""
        found = pl.read_parquet(self.kept_path)["first_day"].max()
        assert found is None or isinstance(found, date)
        return found

    def requests_path(self, source: str, file_id: str, day: date, segment: int) -> Path:
        return self.day_folder(day) / f"{source}.{file_id}.{segment:04d}.parquet"

    def rejects_path(self, source: str, file_id: str) -> Path:
        return self.root / "rejects" / f"{source}.{file_id}.parquet"

    def write_requests(self, requests: pl.DataFrame, source: str, file_id: str, segment: int) -> list[date]:
        """Write one segment's requests (columns of REQUESTS), one file an event day; returns the days."""
        dated = requests.with_columns(day=pl.from_epoch("started_us", time_unit="us").dt.date())
        if not dated["day"].is_sorted():
            dated = dated.sort("day", maintain_order=True)
        requests = dated.drop("day")
        start, days = 0, []
        for length, day in dated["day"].rle().struct.unnest().iter_rows():
            path = self.requests_path(source, file_id, day, segment)
            write_requests_of_day(requests.slice(start, length), path)
            start += length
            days.append(day)
        return days

    def write_rejects(self, rejects: pl.DataFrame, source: str, file_id: str) -> None:
        """Write a file's rejects (columns of REJECTS); none leaves no file."""
        if rejects.height:
            write_parquet(rejects, self.rejects_path(source, file_id))
        else:
            self.rejects_path(source, file_id).unlink(missing_ok=True)

    def write_rules(self, rules: pl.DataFrame) -> None:
        """Remember the lists behind a version (columns of RULES, one version); the first one stays."""
        path = self.root / "rules" / f"{rules['rules_version'][0]}.parquet"
        if not path.exists():
            write_parquet(conform(rules, RULES).collect(), path)

    def record_restated(self, day: date, rules_version: str, restated_us: int) -> None:
        """The requests of `day` were all judged again: the marts count that day anew."""
        row = {"day": day, "rules_version": rules_version, "restated_us": restated_us}
        path = self.root / "restated" / f"day={day.isoformat()}.parquet"
        write_parquet(pl.DataFrame([row], schema=RESTATED), path)

    def write_former_figures(self, figures: pl.DataFrame) -> None:
        """Keep what was published before a restatement (columns of FORMER_FIGURES, one restatement).

        Builds see it once it is finished: with half its days judged they would tell too little.
        """
        path = self.root / "restatements" / f"{figures['restated_us'][0]}{BEGUN}"
        write_parquet(conform(figures, FORMER_FIGURES).collect(), path)

    def finish_restatements(self, restated_us: int) -> None:
        """The days of this restatement are judged. Those that were killed before it are over, too: compared
        with the figures before this one, they tell what they had come to."""
        folder = self.root / "restatements"
        for path in sorted(folder.glob(f"[0-9]*{BEGUN}")):
            if int(path.name.removesuffix(BEGUN)) <= restated_us:
                path.rename(path.with_name(path.name.removesuffix(BEGUN) + ".parquet"))
        sync(folder)

    def requests(self) -> pl.LazyFrame:
        """All committed requests of files that count, with their `day`."""
        taken = self.ledger().lazy().filter(pl.col("status") == "taken").select("file_id", "source")
        return pl.scan_parquet(
            self.root / "requests" / "*" / "*.parquet", hive_partitioning=True, hive_schema={"day": pl.Date}
        ).join(taken.unique(), on=["file_id", "source"], how="semi")

    def rejects(self) -> pl.LazyFrame:
        """All rejects."""
        return pl.scan_parquet(self.root / "rejects" / "*.parquet")

    def ledger(self, since: date | None = None) -> pl.DataFrame:
        """Every file known, one row a (source, file name, content), columns of FILES.

        since: only those taken in on this UTC day or later.
        """
        first = f"day={since.isoformat()}" if since else ""
        for path in missing(self.root):
            if path.parts[0] != "rules":  # they explain figures, and change none
                raise _damaged(self.root, path, GONE)
        # Each from one open handle: Polars asks for a file's size by its path and then opens it, and between
        # the two an intake may have put a longer one there.
        return pl.concat(
            _ledger_rows(path)
            for path in sorted((self.root / "files").glob("*/*.parquet"))
            if path.parent.name >= first
        )

    def record(self, files: pl.DataFrame) -> None:
        """Commit ledger rows (columns of FILES): a row of the same source, name and content is replaced."""
        with locked(self.ledger_lock):
            for (source, day), rows in _by_ledger_file(files):
                path = self.root / "files" / f"day={day.isoformat()}" / f"{source}.parquet"
                copy = self.root / LEDGER_COPY / path.parent.name / path.name
                if copy.exists() and not path.exists():  # never put fewer rows over the last that are left
                    raise _damaged(self.root, path.relative_to(self.root), GONE)
                known = _ledger_rows(path) if path.exists() else _empty(FILES)
                merged = pl.concat([known, rows]).unique(
                    ["source", "file_name", "file_id"], keep="last", maintain_order=True
                )
                ordered = merged.sort("taken_in_us", "file_name", "file_id")
                write_parquet(ordered, path)
                keep_twice(path, copy)


@contextlib.contextmanager
def reading(root: Path) -> Iterator[None]:
    """No file of the lake below `root` is moved or removed meanwhile; many may read at a time."""
    with locked(root / READERS_LOCK, shared=True):
        yield


def missing(root: Path) -> list[Path]:
    """Files below the lake at `root` that were written, are never removed and are not there."""
    # Copies are listed first: a file is written before its copy.
    copies = (path.relative_to(root) for path in (root / LEDGER_COPY).rglob("[!.]*.parquet"))
    wanted = {*map(twin_of, copies), *checksums.must_be_there(root)}
    return sorted(path for path in wanted if not (root / path).exists())


def is_kept_twice(path: Path) -> bool:
    """`path` below the lake."""
    return path.parts[0] in ("files", LEDGER_COPY, SUPPRESSED_FILE, TOLD)


def twin_of(path: Path) -> Path:
    """Of a file that is kept twice, both below the lake, where the other one is."""
    top, *rest = path.parts
    if top == LEDGER_COPY:
        return Path(*rest) if rest[0] in (SUPPRESSED_FILE, TOLD) else Path("files", *rest)
    return Path(LEDGER_COPY, *rest) if top == "files" else Path(LEDGER_COPY, *path.parts)


def keep_twice(path: Path, twin: Path) -> None:
    """The same bytes and mode at `twin`, there whole or not at all. Raises OSError."""
    with replacing(twin) as temporary:
        temporary.touch(0o600)
        temporary.write_bytes(path.read_bytes())
        shutil.copymode(path, temporary)


def read_twice_kept(root: Path, path: Path) -> bytes:
    """What a file holds that is kept twice; `path` below the lake. Raises LakeDamaged, OSError."""
    if not (root / path).exists() and path in missing(root):
        raise _damaged(root, path, GONE)
    held = (root / path).read_bytes()
    if not _is_as_written(root, path, held):
        raise _damaged(root, path, "its bytes are not those that were written")
    return held


def stop_if_damaged(root: Path) -> None:
    """For builds, which read ledger and what was told by themselves. Raises LakeDamaged, LakeFormatError."""
    if (root / "FORMAT").exists():
        Lake(root).ledger()
        for path in sorted((root / TOLD).glob("[!._]*.parquet")):
            read_twice_kept(root, path.relative_to(root))


def _ledger_rows(path: Path) -> pl.DataFrame:
    root = path.parents[2]
    held = read_twice_kept(root, path.relative_to(root))
    try:
        return pl.read_parquet(held, columns=list(FILES))
    except pl.exceptions.PolarsError as error:
        raise _damaged(root, path.relative_to(root), str(error).splitlines()[0][:120]) from error


def _damaged(root: Path, path: Path, reason: str) -> LakeDamaged:
    """`path`: below the lake at `root`."""
    is_twice, twin = is_kept_twice(path), root / twin_of(path)
    told = f"{root / path} is damaged ({reason}): nothing is taken in or built until"
    if is_twice and not _is_noted(root, twin):
        return LakeDamaged(
            f"{told} that of a backup is in its place (`earshot restore FROM --to ELSEWHERE --files-only`, "
            "copy the file, `earshot verify --accept FILE`): its copy is not there or damaged, too",
            is_in_backup_alone=True,
        )
    how = "put its copy in its place" if is_twice else "made it again, or that of a backup is in its place"
    return LakeDamaged(f"{told} `earshot verify --repair` has {how}")


def _is_noted(root: Path, path: Path) -> bool:
    with contextlib.suppress(OSError):
        return not checksums.is_complete(root) or checksums.digest_of(path) in checksums.noted(root)
    return False


def _is_as_written(root: Path, path: Path, held: bytes) -> bool:
    """Parquet notices few faults by itself. Beside its copy a file of the ledger is seldom looked up: only
    where a writer is between the two, was killed there, or one of them changed."""
    copy = root / twin_of(path)
    if path == Path(SUPPRESSED_FILE) and not copy.exists():
        return True  # brought from another installation, or written before it was kept twice
    with contextlib.suppress(OSError):
        if path.name == EMPTY or copy.read_bytes() == held:
            return True
    digest = xxhash.xxh3_128_hexdigest(held)
    return not checksums.is_complete(root) or digest in checksums.noted(root)


def _by_ledger_file(files: pl.DataFrame) -> Iterator[tuple[tuple[str, date], pl.DataFrame]]:
    conformed = conform(files, FILES).collect()
    taken_in_day = conformed.with_columns(day=pl.from_epoch("taken_in_us", time_unit="us").dt.date())
    for (source, day), rows in taken_in_day.partition_by(
        ["source", "day"], as_dict=True, include_key=True, maintain_order=True
    ).items():
        yield (source, day), rows.drop("day")


def _empty(schema: Schema) -> pl.DataFrame:
    return pl.DataFrame(schema=schema)


def utc_now_us() -> int:
    """Now, epoch microseconds."""
    return int(datetime.now(UTC).timestamp() * 1_000_000)
