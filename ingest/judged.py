"""By which version of the lists the rows of landing files were judged, told by the rows that can be read."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import polars as pl

from ingest.lake import Lake
from ingest.schema import FileStatus

Key = tuple[str, str]  # source, file_id
_EVER = 1 << 62
_ERASED = "erased"  # a day that is counted anew for an erasure was judged by nothing else


def versions_of(lake: Lake, keys: Collection[Key], damaged: Iterable[Path]) -> dict[Key, str]:
    """The version that judged all rows of a landing file; without those of which it cannot be told.

    damaged: files, below the lake, whose rows are not to be believed. Of a file without other rows one
    of the same intake tells, or those taken in right before and after it, where they agree.
    """
    ever = [path.stem for path in (lake.root / "rules").glob("[!._]*.parquet")]
    if len(ever) == 1:
        return dict.fromkeys(keys, ever[0])
    judged = _Judged(lake, {lake.root / path for path in damaged})
    taken = lake.ledger().filter(pl.col("status") == FileStatus.TAKEN.value).sort("taken_in_us", "file_name")
    files = [_File(*row) for row in taken.select("source", "file_id", "days", "taken_in_us").iter_rows()]
    told = {}
    for at, file in enumerate(files):
        if file.key not in keys:
            continue
        again, once = judged.days(file)
        versions = {judged.restated[day][0] for day in again}
        if once and (own := judged.by(file)):
            versions |= own
        elif once and (same := judged.first(one for one in files if one.taken_in_us == file.taken_in_us)):
            versions |= same
        elif once:
            around = [judged.first(files[at + 1 :]), judged.first(files[:at][::-1])]
            versions |= set().union(*around) or {""}
        if len(versions) == 1 and "" not in versions:
            told[file.key] = versions.pop()
    return told


@dataclass(frozen=True)
class _File:
    source: str
    file_id: str
    event_days: list[date]
    taken_in_us: int

    @property
    def key(self) -> Key:
        return self.source, self.file_id


@dataclass
class _Judged:
    lake: Lake
    bad: set[Path]
    restated: dict[date, tuple[str, int]] = field(init=False)  # the last time: version, when (epoch µs)
    _seen: dict[date, dict[Key, set[str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.restated = {}
        for path in (self.lake.root / "restated").glob("day=*.parquet"):
            if path in self.bad:  # again, perhaps, and nobody knows by what
                self.restated[date.fromisoformat(path.stem.removeprefix("day="))] = ("", _EVER)
                continue
            rows = pl.read_parquet(path, hive_partitioning=False)
            for day, version, at_us in rows.select("day", "rules_version", "restated_us").iter_rows():
                if version != _ERASED:
                    self.restated[day] = (version, at_us)

    def days(self, file: _File) -> tuple[list[date], list[date]]:
        """Those that were judged again after the file's intake, and the others."""
        again = [day for day in file.event_days if self.restated.get(day, ("", 0))[1] > file.taken_in_us]
        return again, [day for day in file.event_days if day not in again]

    def by(self, file: _File) -> set[str]:
        """What its rows say that were judged once."""
        return {version for day in self.days(file)[1] for version in self._of(day).get(file.key, ())}

    def first(self, files: Iterable[_File]) -> set[str]:
        """What the first of them says that has such rows."""
        return next((found for file in files if (found := self.by(file))), set())

    def _of(self, day: date) -> dict[Key, set[str]]:
        if day not in self._seen:
            self._seen[day] = {}
            folder = self.lake.day_folder(day)
            if paths := [path for path in sorted(folder.glob("[!._]*.parquet")) if path not in self.bad]:
                columns = pl.col("source", "file_id", "rules_version")
                rows = pl.scan_parquet(paths, hive_partitioning=False).select(columns).unique().collect()
                for source, file_id, version in rows.iter_rows():
                    self._seen[day].setdefault((source, file_id), set()).add(version)
        return self._seen[day]
