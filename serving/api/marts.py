"""The published marts as the API reads them: one version for a whole request, a newer one for the next.

A version is a file of its own name, opened read-only; it is closed when the last request that uses it has
ended (no counting: nobody refers to it any more).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import threading
from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from ingest.settings import Window
from serving import versions
from serving.copying import text
from serving.publish import DATABASE_NAME, MANIFEST_NAME
from serving.reports.shows import Shows as Catalogue

KEPT_OPEN = 3  # versions a cursor may still go on in
_MAX_STATEMENTS = 1000
_ATTACHED = "published"

_TYPES: dict[str, Any] = {  # what is not named is told by its values
    "BIGINT": pl.Int64,
    "HUGEINT": pl.Int64,  # a sum of those; ours are counts
    "INTEGER": pl.Int32,
    "SMALLINT": pl.Int16,
    "DOUBLE": pl.Float64,
    "VARCHAR": pl.String,
    "BOOLEAN": pl.Boolean,
    "DATE": pl.Date,
    "TIMESTAMP": pl.Datetime("us"),
}

# What a query is planned by. Ours are short, and planned for longer than they run: to go through DuckDB's
# other steps, of which none gains by, was a seventh of a request's CPU (bench api).
_PLANNED_BY = frozenset(
    (
        "filter_pushdown", "filter_pullup", "unused_columns", "expression_rewriter", "statistics_propagation",
        "join_order", "build_side_probe_side", "common_aggregate", "in_clause", "top_n", "limit_pushdown",
        "cte_inlining", "cte_filter_pusher", "deliminator", "unnest_rewriter",
    )
)  # fmt: skip

log = logging.getLogger("earshot.api")


class Rows(list[dict[str, Any]]):
    """Rows of an answer; the names of its columns are known even when there is no row."""

    def __init__(self, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
        super().__init__(rows)
        self.columns = list(columns)

    def first(self, count: int) -> Rows:
        return Rows(self.columns, self[:count])


class Edition:
    """One published version, open for reading; safe to share between threads."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError, duckdb.Error, ValueError: it is not whole (any more)."""
        self.folder, self.stamp = folder, _stamp(folder)
        told = (folder / MANIFEST_NAME).read_bytes()
        # A number may come again after a roll-back, with another content; this does not.
        self.identity = hashlib.blake2b(told, digest_size=8).hexdigest()
        try:
            manifest = json.loads(told)
            self.version = int(manifest["version"])
            self.made_at = str(manifest["made_at"])  # ISO 8601, UTC
            self.window: str | None = manifest.get("window")  # under which `downloads` counts
            self.tables = frozenset(table["name"] for table in manifest["tables"])
            if self.window is not None:
                Window(self.window)
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise ValueError(f"{MANIFEST_NAME} is not that of a publication: {error!r}") from None
        if datetime.fromisoformat(self.made_at).tzinfo is None:
            raise ValueError(f"{MANIFEST_NAME} names no time zone: made_at is {self.made_at}")
        # Queries are short and there is a worker a core: more threads would only get in each other's way.
        # Attached, not opened: who opens a path that is open already gets the former file's content.
        self._database = duckdb.connect(config={"threads": 1})
        path = str((folder / DATABASE_NAME).resolve())
        self._database.execute(f"attach {text(path)} as {_ATTACHED} (read_only)")
        self._database.execute("set enable_external_access = false")
        steps = [name for (name,) in self._database.execute("from duckdb_optimizers()").fetchall()]
        left_out = ",".join(name for name in steps if name not in _PLANNED_BY)
        self._database.execute(f"set disabled_optimizers = '{left_out}'")
        self._local = threading.local()
        self._statements: dict[str, duckdb.Statement] = {}

    def rows(self, sql: str, parameters: Sequence[object] | dict[str, object] = ()) -> Rows:
        """All rows of a query. Values go in as parameters, never into the text."""
        result = self._cursor().execute(self._parsed(sql), parameters)
        columns = [column[0] for column in result.description]
        return Rows(columns, [dict(zip(columns, row, strict=True)) for row in result.fetchall()])

    def frame(self, sql: str, parameters: Sequence[object] | dict[str, object] = ()) -> pl.DataFrame:
        """The same as a frame, with the types of the query's columns: to compute on, or for Parquet."""
        result = self._cursor().execute(self._parsed(sql), parameters)
        schema: dict[str, Any] = {column[0]: _TYPES.get(str(column[1])) for column in result.description}
        # Not from a relation: DuckDB then ends with a report of leaked objects (attribution/relations.py).
        return pl.DataFrame(result.fetchall(), schema, orient="row", infer_schema_length=None)

    @cached_property
    def shows(self) -> frozenset[str]:
        """The ids of all shows of the catalogue."""
        return frozenset(row["show_id"] for row in self.rows("select show_id from dim_shows"))

    @cached_property
    def catalogue(self) -> Catalogue:
        """The shows with what each source class has seen of them."""
        return Catalogue.load(self)

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        cursor: duckdb.DuckDBPyConnection | None = getattr(self._local, "cursor", None)
        if cursor is None:
            cursor = self._local.cursor = self._database.cursor()
            cursor.execute(f"use {_ATTACHED}")
        return cursor

    def _parsed(self, sql: str) -> duckdb.Statement:
        # A tenth or two of a short query's time goes into parsing; its text is always the same.
        found = self._statements.get(sql)
        if found is None:
            if len(self._statements) >= _MAX_STATEMENTS:
                self._statements.clear()
            found = self._statements[sql] = self._cursor().extract_statements(sql)[0]
        return found


class Marts:
    """Which version is in use now."""

    def __init__(self, published_dir: Path) -> None:
        self._dir = published_dir
        self._lock = threading.Lock()
        self._open: dict[tuple[int, str], Edition] = {}  # by number and identity
        self._current: Edition | None = None
        self.unreadable: str | None = None  # the version that is published and cannot be read
        self.refresh()

    @property
    def current(self) -> Edition | None:
        """None: nothing is published yet."""
        return self._current

    def refresh(self) -> bool:
        """Use what is published now; whether it is another version. If it cannot be read the former stays."""
        folder, current = versions.current_version(self._dir), self._current
        if folder is None or (
            current and folder == current.folder and _stamp(folder) in (current.stamp, None)
        ):
            self.unreadable = None
            return False
        with self._lock:
            try:
                edition = Edition(folder)
                edition.shows, edition.catalogue  # noqa: B018 - read here, not by the first request
            except (OSError, duckdb.Error, ValueError) as error:
                if self.unreadable != folder.name:  # once, not at every look
                    log.warning("version %s cannot be read: %s", folder.name, error)
                self.unreadable = folder.name
                return False
            self._keep(edition)
            self._current, self.unreadable = edition, None
        return True

    def edition(self, version: int, identity: str) -> Edition | None:
        """That version, if it is still there; another content of the same number is not it."""
        current = self._current
        if current and (current.version, current.identity) == (version, identity):
            return current
        with self._lock:
            found = self._open.get((version, identity))
            folder = self._dir / versions.folder_name(version)
            if found is None and folder.is_dir():
                with contextlib.suppress(OSError, duckdb.Error, ValueError):
                    there = Edition(folder)
                    if there.identity == identity:
                        found = there
                        self._keep(found)
            return found

    def close(self) -> None:
        """Let go of all versions."""
        with self._lock:
            self._current = None
            self._open.clear()

    def _keep(self, edition: Edition) -> None:
        self._open[edition.version, edition.identity] = edition
        for oldest in sorted(self._open, key=lambda each: self._open[each].made_at)[:-KEPT_OPEN]:
            del self._open[oldest]


def _stamp(folder: Path) -> tuple[int, int] | None:
    """By which a folder is known to be another of the same name; None: it is gone."""
    try:
        found = (folder / MANIFEST_NAME).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
