"""The catalogue's shards: what is known of each podcast, committed whole or not at all.

    lake/catalog/shard=NNN/state.parquet            STATE, replaced at each commit
                           podcasts/<generation>.parquet   PODCASTS, ITEMS, EPISODES: what changed in that
                           items/<generation>.parquet      commit; the newest row of a key counts
                           episodes/<generation>.parquet
                           …/<generation>.all.parquet      all before it in one: the older files are obsolete
                           .commit-<generation>/           committed, not yet laid out
    lake/changes/day=YYYY-MM-DD/NNN-<generation>.parquet   CHANGES, append-only, by day of detection (UTC)

A commit is one rename of a folder that holds everything; laying its files out only moves them and can be
repeated. So a crash before the rename leaves nothing behind that counts, and one after it loses nothing:
whoever opens the shard next finishes the moves. Changes carry their sequence since before the rename, hence
none is lost and none is told twice.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NewType

import polars as pl

from ingest.durable import lock_file, locked, sync
from ingest.feeds.schedule import CLOCK_SKEW_US
from ingest.feeds.schema import CHANGES, EPISODES, ITEMS, PODCASTS, SHARDS, STATE, Record, shard_of
from ingest.lake import READERS_LOCK, LakeDamaged, write_parquet
from ingest.schema import DAY_US, Schema

Generation = NewType("Generation", int)

TABLES: dict[str, tuple[Schema, list[str]]] = {
    "podcasts": (PODCASTS, ["podcast_key"]),
    "items": (ITEMS, ["podcast_key"]),
    "episodes": (EPISODES, ["podcast_key", "episode_key"]),
}
# A lookup reads every file of a table, so they stay few; all become one when a quarter of the bytes is new.
MOST_FILES = 12
MOST_NEW_SHARE = 0.25
# Rows of few podcasts are looked up by their key: small groups let the reader pass over the others.
ROW_GROUP = 4096

_GENERATION, _DUE, _POLLED = "earshot_generation", "earshot_next_due_us", "earshot_polled_us"
NO_TIME_US = 2**62  # later than any


class LeaseLost(Exception):
    """Another worker owns the shard by now: nothing was committed, its polls will be made again."""


@dataclass
class Commit:
    """What one visit to a shard brings: rows of the frames, as records."""

    state: list[Record]
    podcasts: list[Record] = field(default_factory=list)
    items: list[Record] = field(default_factory=list)
    episodes: list[Record] = field(default_factory=list)
    changes: list[Record] = field(default_factory=list)

    def add(self, other: Commit) -> None:
        """What another one brings, too."""
        for name, rows in vars(self).items():
            rows.extend(getattr(other, name))


class Shard:
    """One shard, opened by one process at a time (`opened`)."""

    def __init__(self, lake_root: Path, number: int) -> None:
        if not 0 <= number < SHARDS:
            raise ValueError(f"there is no shard {number}: they are 0 to {SHARDS - 1}")
        self.number = number
        self.root = lake_root
        self.folder = folder_of(lake_root, number)
        self._state: pl.DataFrame | None = None

    # --- reading

    def state(self) -> pl.DataFrame:
        """Columns of STATE, sorted by podcast_key."""
        if self._state is None:
            self._state = read_state(self.folder)
        return self._state

    def items(self, podcast_keys: Collection[int]) -> pl.DataFrame:
        """The ITEMS rows of these podcasts, newest only."""
        return self._newest("items", pl.col("podcast_key").is_in(list(podcast_keys)))

    def podcasts(
        self, podcast_keys: Collection[int], columns: Sequence[str] | None = None
    ) -> dict[int, Record]:
        """podcast_key → its PODCASTS row; of `columns` alone it costs less."""
        found = self._newest("podcasts", pl.col("podcast_key").is_in(list(podcast_keys)), columns)
        return {row["podcast_key"]: row for row in found.iter_rows(named=True)}

    def episodes(
        self, wanted: Mapping[int, Collection[int]], columns: Sequence[str] | None = None
    ) -> dict[int, dict[int, Record]]:
        """podcast_key → episode_key → EPISODES row, of the wanted episodes of each podcast; of `columns`
        alone it costs less.
        """
        episode_keys = [key for keys in wanted.values() for key in keys]
        # An episode's key belongs to one podcast; the other condition lets the reader pass over row groups.
        found = self._newest(
            "episodes",
            pl.col("podcast_key").is_in(list(wanted)) & pl.col("episode_key").is_in(episode_keys),
            columns,
        )
        rows: dict[int, dict[int, Record]] = {}
        for row in found.iter_rows(named=True):
            rows.setdefault(row["podcast_key"], {})[row["episode_key"]] = row
        return rows

    def generation(self) -> Generation:
        """Of the last commit; 0: none yet."""
        return next_due_of(self.root, self.number)[0]

    # --- writing

    def commit(self, commit: Commit, may_commit: Callable[[], bool] = lambda: True) -> Generation:
        """Make `commit` last, all of it or nothing. Raises OSError, and LeaseLost unless `may_commit`."""
        generation = Generation(self.generation() + 1)
        state = self._with(commit.state)
        if not (commit.podcasts or commit.items or commit.episodes or commit.changes):
            self._check(may_commit)
            write_state(state, self.folder / "state.parquet", generation)
            self._state = state
            return generation
        prepared = self.folder / f".prepared-{generation:010}"
        shutil.rmtree(prepared, ignore_errors=True)
        prepared.mkdir(parents=True)
        for name, (schema, keys) in TABLES.items():
            rows = getattr(commit, name)
            if rows:
                frame = _frame(rows, schema, generation).sort(keys)
                write_parquet(frame, prepared / f"{name}.parquet", ROW_GROUP)
        if commit.changes:
            stamped = [{**row, "shard": self.number} for row in commit.changes]
            frame = _frame(stamped, CHANGES, generation).sort("podcast_key", "sequence")
            write_parquet(frame, prepared / "changes.parquet")
        write_state(state, prepared / "state.parquet", generation)
        sync(prepared)
        self._check(may_commit)
        prepared.rename(self.folder / f".commit-{generation:010}")  # from here on it is committed
        sync(self.folder)
        self._state = state
        lay_out(self.root, self.number)
        return generation

    def _check(self, may_commit: Callable[[], bool]) -> None:
        if not may_commit():
            raise LeaseLost(f"shard {self.number} has gone to another worker")

    def compact(self) -> list[str]:
        """Merge a table's files where they are many or mostly new; returns the tables that were."""
        merged = []
        for name, (schema, keys) in TABLES.items():
            files = table_files(self.folder, name)
            if len(files) < 2 or not self._is_worth_merging(files):
                continue
            frame = self._newest(name, pl.lit(True)).sort(keys)
            newest = int(files[-1].name.split(".")[0])
            write_parquet(
                frame.select(list(schema)), self.folder / name / f"{newest:010}.all.parquet", ROW_GROUP
            )
            merged.append(name)
        self.remove_obsolete()
        return merged

    def remove_obsolete(self) -> None:
        """Files that a later one holds too go, unless somebody is reading the lake: then the next time."""
        with _no_reader(self.root) as is_free:
            if is_free:
                for name in TABLES:
                    kept = set(table_files(self.folder, name))
                    for path in (self.folder / name).glob("*.parquet"):
                        if path not in kept:
                            path.unlink()

    @staticmethod
    def _is_worth_merging(files: Sequence[Path]) -> bool:
        sizes = [path.stat().st_size for path in files]
        return len(files) > MOST_FILES or (len(files) > 2 and sum(sizes[1:]) > MOST_NEW_SHARE * sizes[0])

    def _with(self, rows: Iterable[Record]) -> pl.DataFrame:
        known, new = self.state(), pl.DataFrame(list(rows), schema=STATE)
        if new.is_empty():
            return known
        kept = known.join(new.select("podcast_key"), on="podcast_key", how="anti", maintain_order="left")
        return pl.concat([kept, new]).sort("podcast_key")

    def _newest(self, table: str, wanted: pl.Expr, columns: Sequence[str] | None = None) -> pl.DataFrame:
        schema, keys = TABLES[table]
        files = table_files(self.folder, table)
        if not files:
            return pl.DataFrame(schema=schema)
        # Columns that files of an earlier version lack are null in them.
        every = pl.scan_parquet(files, schema=schema, missing_columns="insert", hive_partitioning=False)
        rows = every.filter(wanted)
        if columns is not None:
            rows = rows.select(list(dict.fromkeys((*keys, *columns, "generation"))))
        found = rows.collect()
        if len(files) == 1:
            return found
        return found.sort("generation", maintain_order=True).unique(keys, keep="last", maintain_order=True)


def folder_of(lake_root: Path, shard: int) -> Path:
    return lake_root / "catalog" / f"shard={shard:03}"


@contextlib.contextmanager
def opened(lake_root: Path, number: int) -> Iterator[Shard]:
    """The shard, one process at a time; an interrupted commit is laid out first. The lock dies with us."""
    shard = Shard(lake_root, number)
    shard.folder.mkdir(parents=True, exist_ok=True)
    with locked(shard.folder / ".lock"):
        for left in shard.folder.glob(".prepared-*"):
            shutil.rmtree(left)
        lay_out(lake_root, number)
        yield shard


def lay_out(lake_root: Path, number: int) -> None:
    """Move the files of committed folders to where readers look; may be interrupted and repeated."""
    folder = folder_of(lake_root, number)
    for committed in sorted(folder.glob(".commit-*")):
        generation = committed.name.removeprefix(".commit-")
        for name in TABLES:
            _move(committed / f"{name}.parquet", folder / name / f"{generation}.parquet")
        changes = committed / "changes.parquet"
        if changes.exists():
            _move_changes(changes, lake_root, _changes_name(number, int(generation)))
        _move(committed / "state.parquet", folder / "state.parquet")  # last: it names the generation
        shutil.rmtree(committed)
        sync(folder)


def changes_folder(lake_root: Path, day_us: int) -> Path:
    """Where the changes detected on a UTC day lie."""
    day = datetime.fromtimestamp(day_us / 1e6, UTC).date()
    return lake_root / "changes" / f"day={day.isoformat()}"


def _changes_name(shard: int, generation: int) -> str:
    return f"{shard:03}-{generation:010}.parquet"


def changes_of(
    lake_root: Path,
    shard: int,
    after: int,
    up_to: int,
    columns: Sequence[str] = tuple(CHANGES),
    since_us: int = 0,
) -> pl.DataFrame:
    """`columns` of CHANGES of the shard's commits after generation `after`, up to `up_to`: commit by commit,
    each by podcast_key and sequence. Only detected since `since_us`.

    Commits are found by their name, since a day's folder holds the files of all shards. Days are many, too:
    each costs 2 µs a commit.
    """
    first_day, root = changes_folder(lake_root, since_us).name, lake_root / "changes"
    days = sorted(entry.name for entry in os.scandir(root)) if root.is_dir() else []
    files = [
        path
        for generation in range(after + 1, up_to + 1)
        for day in days
        if day >= first_day and os.access(path := f"{root}/{day}/{_changes_name(shard, generation)}", os.F_OK)
    ]
    wanted = [*columns, *({"detected_us"} - set(columns))]
    rows = [pl.DataFrame(schema={name: CHANGES[name] for name in wanted})]
    rows += [pl.read_parquet(path, columns=wanted, hive_partitioning=False) for path in files]
    return pl.concat(rows).filter(pl.col("detected_us") >= since_us).select(columns)


def newest_changes(lake_root: Path) -> int:
    """A number that is another one after every commit with changes."""
    return max(folder.stat().st_mtime_ns for folder in (lake_root / "changes").glob("day=*"))


def find(lake_root: Path, podcast_key: int) -> Record | None:
    """The STATE row of a podcast; None: not polled yet."""
    path = folder_of(lake_root, shard_of(podcast_key)) / "state.parquet"
    if not path.exists():
        return None
    rows = _read_whole(path).filter(pl.col("podcast_key") == podcast_key)
    return rows.row(0, named=True) if rows.height else None


def read_state(folder: Path) -> pl.DataFrame:
    """Columns of STATE of the shard in `folder`, sorted by podcast_key."""
    path = folder / "state.parquet"
    return _read_whole(path) if path.exists() else pl.DataFrame(schema=STATE)


def read_states(lake_root: Path, columns: Sequence[str]) -> pl.DataFrame:
    """`columns` of STATE of all shards; 0.3 s for a million podcasts. Raises LakeDamaged naming the file."""
    none = pl.DataFrame(schema={name: STATE[name] for name in columns})
    return pl.concat([none, *(_columns_of(path, columns) for path in _state_paths(lake_root))])


def _columns_of(path: Path, columns: Sequence[str]) -> pl.DataFrame:
    try:
        return pl.read_parquet(path.read_bytes(), columns=list(columns))
    except pl.exceptions.PolarsError as error:
        raise LakeDamaged(
            f"{path} is damaged ({str(error).splitlines()[0][:120]}): its podcasts are not polled until "
            "`earshot verify --repair` or a backup has mended it"
        ) from error


def last_commit_us(lake_root: Path) -> int | None:
    """When a shard was committed last, by the clock of the file system; None: none ever was."""
    return max((path.stat().st_mtime_ns // 1000 for path in _state_paths(lake_root)), default=None)


def _state_paths(lake_root: Path) -> list[Path]:
    paths = (folder_of(lake_root, shard) / "state.parquet" for shard in range(SHARDS))
    return [path for path in paths if path.exists()]


def table_files(folder: Path, table: str) -> list[Path]:
    """The files that hold a table's rows, oldest first, obsolete ones left out."""
    files = sorted((folder / table).glob("[0-9]*.parquet"), key=_order)
    merged = [index for index, path in enumerate(files) if path.name.endswith(".all.parquet")]
    return files[merged[-1] :] if merged else files


def _order(path: Path) -> tuple[int, bool]:
    return int(path.name.split(".")[0]), path.name.endswith(".all.parquet")


def _read_whole(path: Path) -> pl.DataFrame:
    return pl.read_parquet(path.read_bytes())  # one open handle: the file may be replaced meanwhile


def write_state(state: pl.DataFrame, path: Path, generation: Generation) -> None:
    """Put the STATE rows of a shard at `path`, with its generation and when its next podcast is due."""
    due = state["next_due_us"].fill_null(0).min()  # null: never polled, due at once
    said = {
        _GENERATION: str(generation),
        _DUE: str(due if due is not None else NO_TIME_US),
        _POLLED: str(state["polled_us"].max() or 0),
    }
    write_parquet(state, path, metadata=said)


def next_due_of(lake_root: Path, shard: int, now_us: int | None = None) -> tuple[Generation, int]:
    """(generation, when the first of its podcasts is due) of a shard, without reading its rows; due at once
    where one was polled after `now_us`, by a clock that was wrong.
    """
    path = folder_of(lake_root, shard) / "state.parquet"
    if not path.exists():
        return Generation(0), NO_TIME_US
    said = pl.read_parquet_metadata(path)
    is_ahead = now_us is not None and int(said.get(_POLLED, 0)) > now_us + CLOCK_SKEW_US
    return Generation(int(said[_GENERATION])), 0 if is_ahead else int(said[_DUE])


def _frame(rows: Sequence[Record], schema: Schema, generation: Generation) -> pl.DataFrame:
    return pl.DataFrame([{**row, "generation": generation} for row in rows], schema=schema)


def _move(source: Path, target: Path) -> None:
    if source.exists():
        target.parent.mkdir(exist_ok=True)
        source.rename(target)
        sync(target.parent)


def _move_changes(source: Path, lake_root: Path, name: str) -> None:
    """One file a day of detection: a commit that spans midnight has two."""
    changes = _read_whole(source)
    days = changes.with_columns(day=pl.col("detected_us") // DAY_US).partition_by("day", as_dict=True)
    for (day,), rows in days.items():
        target = changes_folder(lake_root, int(day) * DAY_US) / name
        if len(days) == 1:
            target.parent.mkdir(parents=True, exist_ok=True)
            _move(source, target)
        elif not target.exists():
            write_parquet(rows.drop("day"), target)


@contextlib.contextmanager
def _no_reader(lake_root: Path) -> Iterator[bool]:
    """Whether nobody reads the lake; while True, nobody begins to."""
    with lock_file(lake_root / READERS_LOCK) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
