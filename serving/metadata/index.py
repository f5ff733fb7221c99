"""The index by which podcasts and episodes are found: one SQLite file, kept up with the lake's commits.

    <data>/search/catalogue.db → catalogue-<n>.db
        names     FTS5 over title and author, rowid = podcast_key
        finders   hash of an episode's key, guid or enclosure → podcast and episode
        shards    up to which commit of the lake each is read

It is only ever a way to find: records come from the lake. Each shard's news is one transaction, so a reader
sees a commit whole; an index that is missing, of an older layout or broken is made anew beside it.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import xxhash

from ingest.durable import locked
from ingest.feeds.identity import signed
from ingest.feeds.schema import SHARDS
from ingest.feeds.state import TABLES, folder_of, next_due_of, table_files
from ingest.lake import reading
from ingest.settings import Settings

LAYOUT = 1
BUSY_S = 10.0
_CACHE_KB = 64 * 1024
_TABLES = """
create virtual table names using fts5(
    title, author, tokenize = "unicode61 remove_diacritics 2", prefix = '2 3');
create table finders (
    hash integer, podcast_key integer, episode_key integer, primary key (hash, podcast_key, episode_key)
) without rowid;
create table shards (shard integer primary key, generation integer not null);
"""


@dataclass(frozen=True)
class Updated:
    """What an update took in."""

    shards: int
    podcasts: int
    episodes: int
    is_rebuilt: bool
    total: int  # podcasts in the index


def index_path(settings: Settings) -> Path:
    return settings.data / "search" / "catalogue.db"


def update(settings: Settings) -> Updated:
    """Take in what sweeps committed since the last time; without news it costs a look at each shard.

    One process at a time; readers go on. Raises OSError, sqlite3.Error.
    """
    path = index_path(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_name(".update.lock")):
        if _is_usable(path):
            try:
                return _take_in(path, settings.lake_dir, is_rebuilt=False)
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):  # busy, or the disk is full: it is as it was
                    raise
        return _made_anew(path, settings.lake_dir)


def _made_anew(path: Path, lake_root: Path) -> Updated:
    """Under a name of its own, since SQLite writes first into files beside it, named after it."""
    former = sorted(path.parent.glob(f"{path.stem}-*"))
    numbers = [int(n) for one in former if (n := one.name.split("-")[1].partition(".")[0]).isdecimal()]
    fresh = path.with_name(f"{path.stem}-{max(numbers, default=0) + 1:06}{path.suffix}")
    with _opened(fresh) as connection:
        connection.executescript(_TABLES)
        connection.execute(f"pragma user_version = {LAYOUT}")
    updated = _take_in(fresh, lake_root, is_rebuilt=True)
    link = path.with_name(f".{path.name}.new")
    link.unlink(missing_ok=True)
    link.symlink_to(fresh.name)
    link.replace(path)
    for one in former:  # whoever has one open keeps it
        one.unlink(missing_ok=True)
    return updated


def hash_of(text: str) -> int:
    """Under which a guid or canonical URL stands in `finders`."""
    return signed(xxhash.xxh3_64_intdigest(text.encode()))


def spaced(text: str) -> str:
    """With spaces around each sign of scripts that write none between words: every part can be found."""
    return "".join(f" {sign} " if _is_unspaced(sign) else sign for sign in text)


def _is_unspaced(sign: str) -> bool:
    """Kana, Han, Hangul is spaced, Thai to Khmer (Unicode blocks)."""
    code = ord(sign)
    return (
        0x3040 <= code <= 0x30FF
        or 0x3400 <= code <= 0x9FFF
        or 0xF900 <= code <= 0xFAFF
        or 0x20000 <= code <= 0x323AF
        or 0x0E00 <= code <= 0x0EFF
        or 0x1780 <= code <= 0x17FF
    )


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    try:
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = normal")  # a crash of the machine costs the last update
        connection.execute(f"pragma cache_size = -{_CACHE_KB}")
        yield connection
    finally:
        connection.close()


def _is_usable(path: Path) -> bool:
    if not path.exists():
        return False
    try:
        with _opened(path) as connection:
            return bool(connection.execute("pragma user_version").fetchone()[0] == LAYOUT)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        return False


def _take_in(path: Path, lake_root: Path, is_rebuilt: bool) -> Updated:
    counts = [0, 0, 0]
    with _opened(path) as connection:
        known = dict(connection.execute("select shard, generation from shards"))
        for shard in range(SHARDS):
            generation = int(next_due_of(lake_root, shard)[0])
            if generation == known.get(shard, 0):
                continue
            podcasts, episodes = _take_shard(connection, lake_root, shard, known.get(shard, 0), generation)
            counts = [counts[0] + 1, counts[1] + podcasts, counts[2] + episodes]
        if counts[0]:
            connection.execute("pragma wal_checkpoint(truncate)")
        (total,) = connection.execute("select count(*) from names").fetchone()
    return Updated(counts[0], counts[1], counts[2], is_rebuilt, total)


def _take_shard(
    connection: sqlite3.Connection, lake_root: Path, shard: int, known: int, generation: int
) -> tuple[int, int]:
    """How many podcasts and episodes were new or changed."""
    began_anew = known > generation
    after = 0 if began_anew else known
    podcasts = _since(lake_root, shard, "podcasts", after, ("title", "author"))
    episodes = _since(lake_root, shard, "episodes", after, ("guid", "enclosure_urls"))
    connection.execute("begin immediate")
    try:
        if began_anew:
            mine = f"(%s & {SHARDS - 1}) = {shard}"
            connection.execute(f"delete from names where {mine % 'rowid'}")
            connection.execute(f"delete from finders where {mine % 'podcast_key'}")
        named = [
            (key, spaced(title or ""), spaced(author or ""))
            for key, title, author in podcasts.select("podcast_key", "title", "author").iter_rows()
        ]
        connection.executemany("delete from names where rowid = ?", [(key,) for key, _, _ in named])
        connection.executemany("insert into names (rowid, title, author) values (?, ?, ?)", named)
        connection.executemany("insert or ignore into finders values (?, ?, ?)", _found_by(episodes))
        connection.execute("insert or replace into shards values (?, ?)", (shard, generation))
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise
    return podcasts.height, episodes.height


def _found_by(episodes: pl.DataFrame) -> Iterable[tuple[int, int, int]]:
    """Rows of `finders`. What an episode no longer is stays: whoever finds it compares."""
    columns = ("podcast_key", "episode_key", "guid", "enclosure_urls")
    for podcast_key, episode_key, guid, urls in episodes.select(columns).iter_rows():
        yield episode_key, podcast_key, episode_key
        for text in (guid, *(urls or ())):
            if text is not None:
                yield hash_of(text), podcast_key, episode_key


def _since(lake_root: Path, shard: int, table: str, after: int, columns: tuple[str, ...]) -> pl.DataFrame:
    """The newest rows of commits behind `after`."""
    schema, keys = TABLES[table]
    with reading(lake_root):
        files = [
            path
            for path in table_files(folder_of(lake_root, shard), table)
            if int(path.name.split(".")[0]) > after
        ]
        if not files:
            return pl.DataFrame(schema={name: schema[name] for name in (*keys, *columns)})
        every = pl.scan_parquet(files, schema=schema, missing_columns="insert", hive_partitioning=False)
        rows = every.select(*keys, *columns, "generation").filter(pl.col("generation") > after).collect()
    return rows.sort("generation", maintain_order=True).unique(keys, keep="last", maintain_order=True)
