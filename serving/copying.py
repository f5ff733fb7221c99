"""Marts written into a database of a version, whole or only where they changed."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

from serving.change import Change, Former

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
    subject: str
    order_by: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]  # (name, DuckDB type)
    comments: tuple[tuple[str | None, str], ...]  # (column, comment), the mart's own with column None
    grain: tuple[str, ...] = ()
    required: tuple[str, ...] = ()  # columns without nulls
    shared: tuple[str, ...] = ()  # columns others than the team may have; none: the mart stays inside
    version: int | None = None  # of its contract; None without one

    @property
    def is_by_date(self) -> bool:
        return self.name in BY_DATE and (DATE, "DATE") in self.columns

    def for_others(self) -> Mart:
        """The same without what is the team's alone."""

        def keep(columns: Sequence[str]) -> tuple[str, ...]:
            return tuple(column for column in columns if column in self.shared)

        return Mart(
            self.name,
            self.subject,
            keep(self.order_by),
            tuple(pair for pair in self.columns if pair[0] in self.shared),
            tuple(pair for pair in self.comments if pair[0] is None or pair[0] in self.shared),
            self.grain if set(self.grain) <= set(self.shared) else (),
            keep(self.required),
            self.shared,
            self.version,
        )


# What of a mart is to be written: all of it (None), or the rows of these dates; of no date: nothing.
Dates = tuple[date, ...] | None


def dates_to_write(mart: Mart, former: Former | None, change: Change | None) -> Dates:
    """What of it differs from the former version."""
    if former is None or change is None:
        return None
    if mart.name in change.kept:
        return ()
    return change.days if mart.is_by_date else None


def write_table(con: duckdb.DuckDBPyConnection, mart: Mart, source: str, target: str, dates: Dates) -> None:
    """Bring the table of a mart in schema `target` up to date with that of schema `source` (SQL names)."""
    there, here = f"{source}.{name(mart.name)}", f"{target}.{name(mart.name)}"
    columns = ", ".join(name(column) for column, _ in mart.columns)
    if dates is None:
        con.execute(
            f"create or replace table {here} as select {columns} from {there}{order(mart)}"
        ).fetchall()
        for column, comment in mart.comments:
            what = f"column {here}.{name(column)}" if column else f"table {here}"
            con.execute(f"comment on {what} is {text(comment)}")
    elif dates:
        con.execute(f"delete from {here} where {on(dates)}").fetchall()
        con.execute(
            f"insert into {here} select {columns} from {there} where {on(dates)}{order(mart)}"
        ).fetchall()


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


def order(mart: Mart) -> str:
    """The clause that sorts its rows."""
    return f" order by {', '.join(map(name, mart.order_by))}" if mart.order_by else ""


def on(dates: Sequence[date]) -> str:
    """The condition that a row is of one of these dates."""
    listed = ", ".join(f"date '{day}'" for day in dates)
    return f"date in ({listed})"
