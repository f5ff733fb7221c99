"""The latest record of podcasts and episodes, straight from the lake's shards: as fresh as the last sweep.

The marts have them ten minutes later (docs/decisions/0024). Files of a shard never change, only which of them
count, so what was read stays good as long as their names are the same.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Hashable
from pathlib import Path
from typing import Generic, TypeVar

import polars as pl

from ingest.feeds.schema import Record, shard_of
from ingest.feeds.state import TABLES, folder_of, table_files
from ingest.lake import reading

_PODCASTS_KEPT = 4_096  # records, of about 3 kB
_NAMED_KEPT = 32_768  # of them what lists tell, some 500 bytes
_LISTS_KEPT = 64  # episode lists, some 100 kB each

# What lists tell of a podcast; texts of a whole record are read for one alone.
NAMED = ("title", "author", "image_url", "episode_count", "newest_us", "changed_us")
# What a list of episodes tells of each; the rest is the episode's own record.
LISTED = (
    "episode_key", "guid", "title", "itunes_title", "published_us", "duration_s", "enclosure_url",
    "enclosure_type", "enclosure_bytes", "episode_type", "season", "episode", "is_explicit", "image_url",
    "link", "first_seen_us", "changed_us", "last_seen_us", "removed_us",
)  # fmt: skip

_Files = tuple[str, ...]
Value = TypeVar("Value")


class Latest:
    """The lake below `lake_root`; may be shared by threads."""

    def __init__(self, lake_root: Path) -> None:
        self._root = lake_root
        self._podcasts: _Kept[Record | None] = _Kept(_PODCASTS_KEPT)
        self._named: _Kept[Record | None] = _Kept(_NAMED_KEPT)
        self._lists: _Kept[pl.DataFrame] = _Kept(_LISTS_KEPT)

    def podcast(self, podcast_key: int) -> Record | None:
        """Its PODCASTS row; None: its feed was never read well."""
        return self._of_keys([podcast_key], self._podcasts, None).get(podcast_key)

    def podcasts(self, podcast_keys: Collection[int]) -> dict[int, Record]:
        """podcast_key → the columns NAMED of its PODCASTS row, of those whose feed was read."""
        return self._of_keys(podcast_keys, self._named, NAMED)

    def _of_keys(
        self, keys: Collection[int], memory: _Kept[Record | None], columns: Collection[str] | None
    ) -> dict[int, Record]:
        found: dict[int, Record] = {}
        missing: list[int] = []
        names = {shard: self._names(shard, "podcasts") for shard in {shard_of(key) for key in keys}}
        for key in keys:
            kept = memory.get(key, names[shard_of(key)])
            if kept is None:
                missing.append(key)
            elif kept[0] is not None:
                found[key] = kept[0]
        if missing:
            wanted = pl.col("podcast_key").is_in(missing)
            files, rows = self._read({shard_of(key) for key in missing}, "podcasts", wanted, columns)
            read = {row["podcast_key"]: row for row in rows.iter_rows(named=True)}
            for key in missing:
                memory.put(key, files[shard_of(key)], read.get(key))
            found |= read
        return found

    def episodes(self, podcast_key: int) -> pl.DataFrame:
        """All episodes ever seen of a podcast, columns LISTED: newest first, those without a date last."""
        shard = shard_of(podcast_key)
        kept = self._lists.get(podcast_key, self._names(shard, "episodes"))
        if kept is not None:
            return kept[0]
        is_its = pl.col("podcast_key") == podcast_key
        files, rows = self._read([shard], "episodes", is_its, LISTED)
        newest = rows.select(LISTED).sort(
            "published_us", "episode_key", descending=[True, False], nulls_last=True
        )
        self._lists.put(podcast_key, files[shard], newest)
        return newest

    def episode(self, podcast_key: int, episode_key: int) -> Record | None:
        """Its EPISODES row; None: the podcast has no such episode."""
        is_it = (pl.col("podcast_key") == podcast_key) & (pl.col("episode_key") == episode_key)
        _, rows = self._read([shard_of(podcast_key)], "episodes", is_it)
        return rows.row(0, named=True) if rows.height else None

    def keys_of(
        self, podcast_key: int, guid: str | None = None, enclosure_url: str | None = None
    ) -> list[int]:
        """Of the podcast's episodes those with this guid, or this canonical URL among all they ever had."""
        is_named = pl.col("podcast_key") == podcast_key
        if guid is not None:
            is_named &= pl.col("guid") == guid
        if enclosure_url is not None:
            is_named &= pl.col("enclosure_urls").list.contains(enclosure_url)
        # Of the newest rows: one that has another guid by now does not answer to the old one.
        every = pl.col("podcast_key") == podcast_key
        _, rows = self._read([shard_of(podcast_key)], "episodes", every, ("guid", "enclosure_urls"))
        return rows.filter(is_named)["episode_key"].to_list()

    def folders(self, podcast_keys: Collection[int]) -> list[Path]:
        """The folders of the files that have their PODCASTS rows: each changes with every commit of those."""
        shards = sorted({shard_of(key) for key in podcast_keys})
        return [folder_of(self._root, shard) / "podcasts" for shard in shards]

    def _names(self, shard: int, table: str) -> _Files:
        return tuple(path.name for path in table_files(folder_of(self._root, shard), table))

    def _read(
        self, shards: Collection[int], table: str, wanted: pl.Expr, columns: Collection[str] | None = None
    ) -> tuple[dict[int, _Files], pl.DataFrame]:
        """The newest rows, and the names of the files they are from by shard. In one scan: 20 cost 20 ms."""
        schema, keys = TABLES[table]
        if not (self._root / "catalog").is_dir():
            return dict.fromkeys(shards, ()), pl.DataFrame(schema=schema)
        with reading(self._root):
            files = {shard: table_files(folder_of(self._root, shard), table) for shard in shards}
            names = {shard: tuple(path.name for path in paths) for shard, paths in files.items()}
            every = [path for paths in files.values() for path in paths]
            if not every:
                return names, pl.DataFrame(schema=schema)
            # Columns that files of an earlier version lack are null in them.
            scan = pl.scan_parquet(every, schema=schema, missing_columns="insert", hive_partitioning=False)
            rows = scan.filter(wanted)
            if columns is not None:
                rows = rows.select(list(dict.fromkeys((*keys, *columns, "generation"))))
            found = rows.collect()
        if found.height == 1:  # most often, and the rest takes half as long as reading
            return names, found
        # A key is in one shard only, whose generations grow.
        newest = found.sort("generation", maintain_order=True)
        return names, newest.unique(keys, keep="last", maintain_order=True)


class _Kept(Generic[Value]):
    """The values last used, each good for the files it was read from."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[Hashable, tuple[_Files, Value]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, files: _Files) -> tuple[Value] | None:
        with self._lock:
            kept = self._values.get(key)
            if kept is None or kept[0] != files:
                return None
            self._values.move_to_end(key)
            return (kept[1],)

    def put(self, key: Hashable, files: _Files, value: Value) -> None:
        with self._lock:
            self._values[key] = files, value
            self._values.move_to_end(key)
            while len(self._values) > self._most:
                self._values.popitem(last=False)
