"""What the published marts say of some days: kept before a restatement, to be compared with what follows."""

from __future__ import annotations

import contextlib
from datetime import date, timedelta
from pathlib import Path

import polars as pl

# A rolling window that begins before the first restated day, or ends after the last, changes figures of its
# own first day. Longer chains of requests than this are not followed.
MARGIN = timedelta(days=31)


def former_figures(database: Path, first_day: date, last_day: date) -> pl.DataFrame:
    """Downloads and reasons by date, source class and show around these event days.

    Columns date, source_class, show_id, reason (null: downloads), published, calendar, first_touch,
    last_touch. `database`: a published marts.duckdb; empty frame when there is none yet.
    """
    import duckdb  # here: ingestion, whose code location needs this, starts without

    if not database.exists():
        return _EMPTY
    span = {
        "first": max(first_day, date.min + MARGIN) - MARGIN,
        "last": min(last_day, date.max - MARGIN) + MARGIN,
    }
    with contextlib.closing(duckdb.connect(str(database.resolve()), read_only=True)) as con:
        rows = con.execute(_QUERY, span).fetchall()
    return pl.DataFrame(rows, schema=_EMPTY.schema, orient="row")


_EMPTY = pl.DataFrame(
    schema={
        "date": pl.Date,
        "source_class": pl.String,
        "show_id": pl.String,
        "reason": pl.String,
        "published": pl.Int64,
        "calendar": pl.Int64,
        "first_touch": pl.Int64,
        "last_touch": pl.Int64,
    }
)
_QUERY = """
    select
        date, source_class, show_id, null as reason,
        downloads, downloads_calendar, downloads_first_touch, downloads_last_touch
    from fct_show_daily
    where date between $first and $last
    union all
    select
        date, source_class, show_id, reason,
        cast(sum(requests) as bigint), cast(sum(requests_calendar) as bigint),
        cast(sum(requests_first_touch) as bigint), cast(sum(requests_last_touch) as bigint)
    from fct_exclusions_daily
    where date between $first and $last
    group by date, source_class, show_id, reason
    order by all
"""
