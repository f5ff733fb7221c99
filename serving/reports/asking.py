"""How a published version is asked: one query at a time, of anything that answers in rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import compress
from typing import Any, Protocol

import duckdb
import polars as pl

from ingest.settings import Window
from serving.reports.suppression import COLUMN, FLAG, GroupOf, suppressed, whole

Row = dict[str, Any]


class Asks(Protocol):
    """A published version that can be asked; params are those that the SQL names `$so`."""

    def rows(self, sql: str, params: dict[str, Any], /) -> list[Row]:
        """The rows, columns by name."""

    def frame(self, sql: str, params: dict[str, Any], /) -> pl.DataFrame:
        """The same as a frame."""


class OverConnection:
    """Asks an open DuckDB connection; for commands and tests, one thread at a time."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con = con

    def rows(self, sql: str, params: dict[str, Any], /) -> list[Row]:
        cursor = self._con.execute(sql, params)
        names = [column[0] for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def frame(self, sql: str, params: dict[str, Any], /) -> pl.DataFrame:
        return pl.DataFrame(self._con.sql(sql, params=params))


@dataclass(frozen=True, slots=True)
class Basis:
    """What every figure of a published version rests on."""

    version: int
    made_at: str  # ISO 8601, UTC
    window: Window  # the published rule: what `downloads` counts
    time_zone: str  # in which the marts' dates begin


@dataclass(frozen=True, slots=True)
class Query:
    """One question to the marts."""

    sql: str
    params: Row = field(default_factory=dict)

    @classmethod
    def of(cls, sql: str, *params: Mapping[str, Any]) -> Query:
        """With those of the parameters that the SQL names: DuckDB refuses others."""
        given = {name: value for some in params for name, value in some.items()}
        return cls(sql, {name: value for name, value in given.items() if f"${name}" in sql})

    def rows(self, asks: Asks) -> list[Row]:
        return asks.rows(self.sql, self.params)

    def frame(self, asks: Asks) -> pl.DataFrame:
        return asks.frame(self.sql, self.params)


@dataclass(frozen=True, slots=True)
class Report:
    """A question with what must be said beside its answer: `about` is plain data, ready for JSON.

    finish: makes the rows of the answer of those of the query, which may take another one; `schema` then has
    their columns. keeps: which of them are told; the others were needed to see what is to be hidden.
    hides: it is for readers who do not own the show. Rows then have the column `suppressed`, and no figures
    where too few listeners are behind them. settled: those rows in an order, with ranks, that depend on the
    figures told alone; `keeps` then judges these.
    """

    query: Query
    about: Row
    hides: bool = False
    figures: tuple[str, ...] = ("downloads",)
    groups: tuple[GroupOf, ...] = (whole,)
    finish: Callable[[list[Row], Asks], list[Row]] | None = None
    schema: Mapping[str, Any] | None = None
    keeps: Callable[[list[Row]], list[bool]] | None = None
    settled: Callable[[list[Row]], list[Row]] | None = None

    def rows(self, asks: Asks) -> list[Row]:
        rows = self.query.rows(asks)
        if self.finish:
            rows = self.finish(rows, asks)
        return self._told(rows)

    def frame(self, asks: Asks) -> pl.DataFrame:
        if self.schema is not None:
            flag = {FLAG: pl.Boolean} if self.hides else {}
            return pl.DataFrame(self.rows(asks), {**self.schema, **flag}, orient="row")
        frame = self.query.frame(asks)
        if not self.hides:
            return frame
        schema = {name: kind for name, kind in frame.schema.items() if name != COLUMN} | {FLAG: pl.Boolean}
        return pl.DataFrame(self._told(frame.to_dicts()), schema)

    def _told(self, rows: list[Row]) -> list[Row]:
        if self.hides and self.settled:
            rows = self.settled(suppressed(rows, self.figures, self.groups))
            return list(compress(rows, self.keeps(rows))) if self.keeps else rows
        kept = self.keeps(rows) if self.keeps else None
        if self.hides:
            rows = suppressed(rows, self.figures, self.groups)
        return list(compress(rows, kept)) if kept is not None else rows


def hidden_last(size: str, *names: str, within: str | None = None) -> Callable[[list[Row]], list[Row]]:
    """Of each `within` those told by size, the largest first, then those hidden by `names`; ranks anew.

    Where hidden rows stand among the others, and who has which rank, would tell of their figures.
    """

    def settle(rows: list[Row]) -> list[Row]:
        def place(row: Row) -> tuple[Any, ...]:
            group = "" if within is None else str(row[within])
            return group, row[FLAG], -(row[size] or 0), *(str(row[name]) for name in names)

        ordered, before = sorted(rows, key=place), None
        for number, row in enumerate(ordered, 1):
            if "rank" in row:
                is_equal = before is not None and before[size] == row[size]
                row["rank"] = None if row[FLAG] else before["rank"] if before and is_equal else number
                before = row
        return ordered

    return settle


def first_rows(most: int) -> Callable[[list[Row]], list[bool]]:
    """Keeps so many."""
    return lambda rows: [index < most for index in range(len(rows))]


class BadQuestion(ValueError):
    """A question that has no answer: which parameter is wrong, why, and what to ask instead."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field, self.reason = field, reason
