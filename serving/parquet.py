"""A version's Parquet files: `<subject>/<mart>.parquet`, or a file a date; what stays the same is linked."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

from serving.change import Former
from serving.copying import Dates, Mart, name, on, order, sha256, text


@dataclass(frozen=True)
class Part:
    """One Parquet file, relative to the version's folder."""

    file: str
    bytes: int
    sha256: str


class ParquetFiles:
    """Writes marts from the schema `source` (SQL name) into the version in `building`."""

    def __init__(
        self, con: duckdb.DuckDBPyConnection, source: str, building: Path, former: Former | None
    ) -> None:
        self._con, self._source, self._building, self._former = con, source, building, former

    def write(self, mart: Mart, dates: Dates) -> list[Part]:
        """All of them, those of these dates anew, the others shared with the former version."""
        folder = self._building / mart.subject
        (folder / mart.name if mart.is_by_date else folder).mkdir(parents=True, exist_ok=True)
        former = self._former_parts(mart)
        if dates == ():
            return [self._link(part) for part in former]
        if not mart.is_by_date:
            return [self._copy(f"{mart.subject}/{mart.name}.parquet", self._query(mart, None))]
        changed = {_file(mart, day) for day in dates or ()}
        parts = [self._link(part) for part in former if part.file not in changed] if dates else []
        where = f" where {on(dates)}" if dates else ""
        days = self._con.execute(f"select distinct date from {self._table(mart)}{where}").fetchall()
        parts += [self._copy(_file(mart, day), self._query(mart, day)) for (day,) in days if day is not None]
        return sorted(parts, key=lambda part: part.file)

    def _copy(self, file: str, query: str) -> Part:
        path = self._building / file
        self._con.execute(
            f"copy ({query}) to {text(str(path))} (format parquet, compression zstd)"
        ).fetchall()
        return Part(file, path.stat().st_size, sha256(path))

    def _query(self, mart: Mart, day: date | None) -> str:
        where = f" where date = date '{day}'" if day else ""
        return f"select * from {self._table(mart)}{where}{order(mart)}"

    def _table(self, mart: Mart) -> str:
        return f"{self._source}.{name(mart.name)}"

    def _former_parts(self, mart: Mart) -> list[Part]:
        return [Part(**part) for part in self._former.tables[mart.name]["files"]] if self._former else []

    def _link(self, part: Part) -> Part:
        """The former version's file under this one's name too; it is never written again."""
        assert self._former is not None
        there, here = self._former.folder / part.file, self._building / part.file
        try:
            os.link(there, here)
        except OSError:  # a file system without links
            shutil.copyfile(there, here)
        return part


def _file(mart: Mart, day: date) -> str:
    return f"{mart.subject}/{mart.name}/{day}.parquet"
