"""A look into the warehouse or a published file after a build: rows and previews for the UI."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import duckdb
import polars as pl

from orchestration.charts import bars
from orchestration.previews import ONE_PERSON_A_ROW, is_about_persons, markdown

PREVIEW_ROWS = 5
BETWEEN = "intermediate"


def look(warehouse: Path, tables: Iterable[tuple[str, str]]) -> dict[tuple[str, str], tuple[int, str]]:
    """(rows, preview as Markdown) of each (schema, table); one read-only connection, closed before returning.

    Of views between the tables none: to ask what they hold is to count once more (int_recounted_windows).
    Only for whoever holds the warehouse's turn (pool `warehouse`).
    """
    found = {}
    with contextlib.closing(duckdb.connect(str(warehouse), read_only=True)) as con:
        views = set(con.execute("select schema_name, view_name from duckdb_views()").fetchall())
        for schema, table in tables:
            if schema == BETWEEN and (schema, table) in views:
                continue
            name = f'"{schema}"."{table}"'
            (rows,) = con.execute(f"select count(*) from {name}").fetchall()[0]
            columns = con.execute(f"describe {name}").fetchall()
            if is_about_persons(column for column, *_ in columns):
                shown = ONE_PERSON_A_ROW
            else:
                sample = pl.DataFrame(con.sql(f"select * from {name} limit {PREVIEW_ROWS}"))
                shown = markdown(sample, PREVIEW_ROWS)
            found[schema, table] = (int(rows), "\n\n".join([shown, *_charts(con, schema, table)]))
    return found


def lacks_any(warehouse: Path, tables: Iterable[tuple[str, str]]) -> bool:
    """Whether a (schema, table or view) is missing: say, its first build was killed. As `look`, of the turn.

    Of a file that cannot be opened, no: dbt says why.
    """
    if not warehouse.exists():
        return True
    try:
        with contextlib.closing(duckdb.connect(str(warehouse), read_only=True)) as con:
            there = con.execute("select table_schema, table_name from information_schema.tables").fetchall()
    except duckdb.Error:
        return False
    return not set(tables) <= set(there)


def downloads_by_day(published: Path) -> str:
    """A chart of the downloads a day, one a source class: the two are never summed."""
    with contextlib.closing(duckdb.connect(str(published), read_only=True)) as con:
        return "\n\n".join(_charts(con, "main", "fct_show_daily"))


# Of which mart a picture says more than five rows: what it shows, and (series, label, number) of it.
_DRAWN = {
    "fct_show_daily": ("downloads a day, {}", "source_class, date, sum(downloads)"),
    "fct_downloads": ("downloads a day, {}", "source_class, date, sum(downloads)"),
    "fct_episode_hourly": ("downloads an hour, {}", "source_class, hour, sum(downloads)"),
    "fct_exclusions_daily": ("requests a day that are no download, {}", "source_class, date, sum(requests)"),
    "fct_metadata_changes": ("changed fields a day", "'', cast(detected_at as date), count(*)"),
}


def _charts(con: duckdb.DuckDBPyConnection, schema: str, table: str) -> list[str]:
    if table not in _DRAWN:
        return []
    title, what = _DRAWN[table]
    try:
        rows = con.execute(f'select {what} from "{schema}"."{table}" group by 1, 2 order by 1, 2').fetchall()
    except (duckdb.CatalogException, duckdb.BinderException):  # another project than ours: no picture
        return []
    series: dict[str, list[tuple[str, float]]] = {}
    for name, label, number in rows:
        series.setdefault(name, []).append((str(label), float(number or 0)))
    return [bars(title.format(name), points) for name, points in series.items()]


def changed_days(warehouse: Path) -> tuple[date, ...]:
    """The dates whose rows the last build replaced in the marts that are told by date."""
    with contextlib.closing(duckdb.connect(str(warehouse), read_only=True)) as con:
        found = con.execute("select day from intermediate.int_changed_days order by day").fetchall()
    return tuple(day for (day,) in found)


def top_shows(published: Path) -> str:
    """The shows with the most downloads in a published database, as Markdown; empty without such a mart."""
    with contextlib.closing(duckdb.connect(str(published), read_only=True)) as con:
        columns = {
            table: {
                name
                for (name,) in con.execute(
                    "select column_name from duckdb_columns() where table_name = ?", [table]
                ).fetchall()
            }
            for table in ("fct_show_daily", "dim_shows")
        }
        daily, shows = columns["fct_show_daily"], columns["dim_shows"]
        if not {"show_id", "downloads"} <= daily:
            return ""
        has_title = {"show_id", "show_title"} <= shows
        split = "source_class, " if "source_class" in daily else ""  # the two classes are never summed
        title = "coalesce(show_title, show_id)" if has_title else "show_id"
        join = "left join dim_shows using (show_id)" if has_title else ""
        return markdown(
            pl.DataFrame(
                con.sql(f"""
                    select {title} as show, {split}cast(sum(downloads) as bigint) as downloads
                    from fct_show_daily {join}
                    group by all order by downloads desc, 1 limit 10
                """)
            )
        )
