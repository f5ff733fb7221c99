"""Marts written into a version's database and its Parquet files, whole or only where they changed."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from serving.change import Change, Former

PUBLISHED = "published_version"  # the database being written, while it is attached
DATE = "date"

# Marts whose rows belong to a date, and that builds replace by dates: their Parquet is a file a date.
BY_DATE = (
    "fct_downloads",
    "fct_episode_daily",
    "fct_episode_hourly",
    "fct_exclusions_daily",
    "fct_show_daily",
    "fct_show_dimensions_daily",
)


@dataclass(frozen=True)
class Mart:
    """One mart to publish: its columns, and those its rows are sorted by."""

    name: str
    order_by: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]
    comments: tuple[tuple[str | None, str], ...]  # (column, comment), the mart's own with column None

    @property
    def is_by_date(self) -> bool:
        return self.name in BY_DATE and (DATE, "DATE") in self.columns


@dataclass(frozen=True)
class Part:
    """One Parquet file, relative to the version's folder."""

    file: str
    bytes: int
    sha256: str


class Copier:
    """Writes the marts of an attached warehouse into the version in `building`."""

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        source: str,
        building: Path,
        former: Former | None,
        change: Change | None,
    ) -> None:
        self._con, self._source, self._building = con, source, building
        self._former = former
        self._days = change.days if former and change else ()
        self._kept = change.kept if former and change else ()

    def copy(self, mart: Mart) -> tuple[int, list[Part]]:
        """Write one mart; its rows and Parquet files."""
        if self._former and mart.name in self._kept:
            parts = [self._link(part) for part in _parts(self._former.tables[mart.name])]
        elif self._former and mart.is_by_date:
            parts = self._replace_days(mart, self._former)
        else:
            parts = self._whole(mart)
        (rows,) = self._con.execute(f"select count(*) from {_target(mart)}").fetchall()[0]
        return int(rows), parts

    def _whole(self, mart: Mart) -> list[Part]:
        target = _target(mart)
        self._con.execute(
            f"create or replace table {target} as select * from {self._origin(mart)}{_order(mart)}"
        ).fetchall()
        for column, comment in mart.comments:
            what = f"column {target}.{name(column)}" if column else f"table {target}"
            self._con.execute(f"comment on {what} is {text(comment)}")
        if not mart.is_by_date:
            return [self._parquet(f"{mart.name}.parquet", f"select * from {target}")]
        (self._building / mart.name).mkdir()
        days = self._con.execute(f"select distinct date from {target} order by 1").fetchall()
        return [self._day(mart, day) for (day,) in days if day is not None]

    def _replace_days(self, mart: Mart, former: Former) -> list[Part]:
        target = _target(mart)
        (self._building / mart.name).mkdir()
        changed = {f"{mart.name}/{day}.parquet" for day in self._days}
        parts = [self._link(part) for part in _parts(former.tables[mart.name]) if part.file not in changed]
        if self._days:
            there = _in(self._days)
            self._con.execute(f"delete from {target} where {there}").fetchall()
            self._con.execute(
                f"insert into {target} select * from {self._origin(mart)} where {there}{_order(mart)}"
            ).fetchall()
            days = self._con.execute(f"select distinct date from {target} where {there}").fetchall()
            parts += [self._day(mart, day) for (day,) in days]
        return sorted(parts, key=lambda part: part.file)

    def _day(self, mart: Mart, day: date) -> Part:
        query = f"select * from {_target(mart)} where date = date '{day}'{_order(mart)}"
        return self._parquet(f"{mart.name}/{day}.parquet", query)

    def _parquet(self, file: str, query: str) -> Part:
        path = self._building / file
        self._con.execute(
            f"copy ({query}) to {text(str(path))} (format parquet, compression zstd)"
        ).fetchall()
        return Part(file, path.stat().st_size, sha256(path))

    def _link(self, part: Part) -> Part:
        """The former version's file under this one's name too; it is never written again."""
        assert self._former is not None
        there, here = self._former.folder / part.file, self._building / part.file
        try:
            os.link(there, here)
        except OSError:  # a file system without links
            shutil.copyfile(there, here)
        return part

    def _origin(self, mart: Mart) -> str:
        return f"{name(self._source)}.marts.{name(mart.name)}"


def copy_file(there: Path, here: Path) -> None:
    """Copy a file within the kernel; file systems that can do so share its blocks."""
    with there.open("rb") as read, here.open("wb") as write:
        left = os.fstat(read.fileno()).st_size
        try:
            while left:
                done = os.copy_file_range(read.fileno(), write.fileno(), left)
                if not done:
                    break
                left -= done
        except OSError:  # not between these two, or not on this system
            left = -1
    if left:
        shutil.copyfile(there, here)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def name(identifier: str) -> str:
    """As an identifier in SQL."""
    return '"' + identifier.replace('"', '""') + '"'


def text(value: str) -> str:
    """As a string in SQL."""
    return "'" + value.replace("'", "''") + "'"


def _parts(table: dict[str, Any]) -> list[Part]:
    return [Part(**part) for part in table["files"]]


def _target(mart: Mart) -> str:
    return f"{PUBLISHED}.main.{name(mart.name)}"


def _order(mart: Mart) -> str:
    return f" order by {', '.join(map(name, mart.order_by))}" if mart.order_by else ""


def _in(days: Sequence[date]) -> str:
    listed = ", ".join(f"date '{day}'" for day in days)
    return f"date in ({listed})"
