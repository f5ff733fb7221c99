"""What changed since a cursor: nothing is missed and nothing comes twice, however clocks and sweeps go.

A cursor holds up to which commit of each shard its reader has read, so it does not rest on times. Changes
come by podcast in their sequence; between podcasts there is no order.
"""

from __future__ import annotations

import base64
import binascii
import os
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import orjson
import polars as pl

from ingest.feeds.schema import CHANGES, SHARDS, Record, shard_of
from ingest.feeds.state import changes_folder, next_due_of
from ingest.lake import LAST, utc_now_us

MAX_CURSOR_CHARS = 8_000
_MAX_CURSOR_BYTES = 32_000  # unpacked: 256 shards with their generations are 4,000
FILES_A_PAGE = 2_000  # read for one page at most: about a second
_FILES_AT_ONCE = 250
# A folder whose time is so long before a cursor's has had no file since: file systems' clocks are coarse.
_SLACK_US = 60_000_000
_LAST_US = 253_370_764_800_000_000  # 9999-01-01
_WHERE = ("generation", "podcast_key", "sequence")


class BadCursor(ValueError):
    """Not a cursor that we gave; the message is for people."""


@dataclass(frozen=True)
class Cursor:
    """How far somebody has read."""

    since_us: int = 0  # only what was detected since then
    looked_us: int = 0  # folders of changes without a file since then were read
    generations: dict[int, int] = field(default_factory=dict)  # shard → its last commit that was read
    within: tuple[int, int, int, int] | None = None  # (shard, generation, key, sequence) of the last change
    turn: int = 0  # the shard that comes first, so that a busy one does not hold up the others

    def text(self) -> str:
        """As it is given out: opaque, fit for a URL."""
        said = [self.since_us, self.looked_us, sorted(self.generations.items()), self.within, self.turn]
        return base64.urlsafe_b64encode(zlib.compress(orjson.dumps(said), 9)).decode().rstrip("=")

    @staticmethod
    def of(text: str) -> Cursor:
        """Raises BadCursor."""
        try:
            if len(text) > MAX_CURSOR_CHARS or not text.isascii():
                raise ValueError("too long")
            packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            unpacking = zlib.decompressobj()
            since_us, looked_us, generations, within, turn = orjson.loads(
                unpacking.decompress(packed, _MAX_CURSOR_BYTES)
            )
            numbers = [since_us, looked_us, turn, *(one for pair in generations for one in pair)]
            numbers += within or []
            if not all(type(number) is int and -(2**63) <= number < 2**63 for number in numbers):
                raise ValueError("not numbers")
            read = {shard: generation for shard, generation in generations if 0 <= shard < SHARDS}
            place = None
            if within is not None:
                shard, generation, podcast_key, sequence = within
                place = (shard, generation, podcast_key, sequence)
            return Cursor(since_us, looked_us, read, place, turn % SHARDS)
        except (ValueError, TypeError, binascii.Error, zlib.error):  # orjson's errors are ValueErrors
            raise BadCursor("it is not one that this API gave: begin anew without a cursor") from None


@dataclass(frozen=True)
class Page:
    """Some changes, as rows of CHANGES, and where the next page begins."""

    changes: list[Record]
    cursor: Cursor
    has_more: bool  # False: all is read for now; the cursor goes on with what comes


def read(
    lake_root: Path,
    cursor: Cursor,
    limit: int,
    podcast_keys: Collection[int] | None = None,
    types: Collection[str] = (),
    with_minor: bool = True,
) -> Page:
    """The next changes of these podcasts (None: of all), at most `limit`; of `types` alone unless empty.

    A page may have fewer and more follow: what one call reads is bounded.
    """
    looked_us = utc_now_us()
    shards = None if podcast_keys is None else {shard_of(key) for key in podcast_keys}
    pending = _pending(lake_root, cursor, shards)
    is_wanted = pl.lit(True) if podcast_keys is None else pl.col("podcast_key").is_in(list(podcast_keys))
    is_wanted &= pl.col("detected_us") >= cursor.since_us
    if types:
        is_wanted &= pl.col("change").is_in(list(types))
    if not with_minor:
        is_wanted &= ~pl.col("is_minor")
    found: list[Record] = []
    files_left = FILES_A_PAGE
    are_laid_out = True
    for shard in sorted(pending, key=lambda shard: (shard - cursor.turn) % SHARDS):
        last = int(next_due_of(lake_root, shard)[0])
        if cursor.generations.get(shard, 0) > last:  # the shard began anew
            cursor = replace(cursor, generations=cursor.generations | {shard: 0}, within=None)
        commits = [(number, paths) for number, paths in pending[shard] if number <= last]
        are_laid_out &= len(commits) == len(pending[shard])  # the others are still being put in place
        for some in _some(commits):
            if len(found) >= limit or files_left <= 0:
                return Page(found, replace(cursor, turn=shard), has_more=True)
            files_left -= sum(len(paths) for _, paths in some)
            rows = _rows(some, is_wanted, cursor, shard)
            room = limit - len(found)
            found += rows[:room].to_dicts()
            if rows.height > room:
                generation, key, sequence = rows.row(room - 1, named=False)[:3]
                at = (shard, generation, key, sequence)
                read_to = cursor.generations | {shard: generation - 1}
                return Page(found, replace(cursor, generations=read_to, within=at, turn=shard), has_more=True)
            cursor = replace(
                cursor,
                generations=cursor.generations | {shard: some[-1][0]},
                within=None if cursor.within and cursor.within[0] == shard else cursor.within,
            )
    return Page(found, replace(cursor, looked_us=looked_us if are_laid_out else cursor.looked_us), False)


_Commits = list[tuple[int, list[str]]]  # (generation, its files: one a day), in order


def _pending(lake_root: Path, cursor: Cursor, shards: Collection[int] | None) -> dict[int, _Commits]:
    """Shard → commits with changes that were not read yet, in order."""
    root = lake_root / "changes"
    first_day = changes_folder(lake_root, min(max(cursor.since_us, 0), _LAST_US)).name
    files: dict[int, dict[int, list[str]]] = {}
    for day in sorted(_days(root, first_day, cursor.looked_us - _SLACK_US)):
        with os.scandir(root / day) as entries:
            for name in sorted(entry.name for entry in entries):
                numbers = name.removesuffix(".parquet").split("-")
                if len(numbers) != 2 or not all(number.isdecimal() for number in numbers):
                    continue
                shard, generation = map(int, numbers)
                if shards is None or shard in shards:
                    files.setdefault(shard, {}).setdefault(generation, []).append(f"{root}/{day}/{name}")
    return {
        shard: unread
        for shard, commits in files.items()
        if (unread := sorted(_unread(commits, lake_root, cursor, shard)))
    }


def _unread(
    commits: dict[int, list[str]], lake_root: Path, cursor: Cursor, shard: int
) -> Iterator[tuple[int, list[str]]]:
    read_to = cursor.generations.get(shard, 0)
    if read_to > max(commits) and read_to > next_due_of(lake_root, shard)[0]:
        read_to = 0
    return ((number, paths) for number, paths in commits.items() if number > read_to)


def _days(root: Path, first_day: str, since_us: int) -> Iterator[str]:
    if not root.is_dir():
        return
    with os.scandir(root) as entries:
        for entry in entries:
            if first_day <= entry.name < LAST and entry.stat().st_mtime_ns // 1000 >= since_us:
                yield entry.name


def _some(commits: _Commits) -> Iterator[_Commits]:
    for first in range(0, len(commits), _FILES_AT_ONCE):
        yield commits[first : first + _FILES_AT_ONCE]


def _rows(commits: _Commits, is_wanted: pl.Expr, cursor: Cursor, shard: int) -> pl.DataFrame:
    """CHANGES of these commits that are wanted and were not read, _WHERE first, in that order."""
    paths = [path for _, paths in commits for path in paths]
    every = pl.scan_parquet(paths, schema=pl.Schema(CHANGES), hive_partitioning=False)
    rows = every.filter(is_wanted).select(*_WHERE, pl.exclude(_WHERE)).collect().sort(_WHERE)
    if cursor.within is not None and cursor.within[0] == shard:
        _, generation, key, sequence = cursor.within
        same, before = pl.col("generation") == generation, pl.col("podcast_key") < key
        is_read = same & (before | ((pl.col("podcast_key") == key) & (pl.col("sequence") <= sequence)))
        rows = rows.filter(~is_read)
    return rows
