"""Rows of the marts made into rows of an answer in Python: days into periods, hours into local ones.

† DuckDB plans a query for longer than it runs it: a bare scan of a show's days costs half of what the same
with names of periods costs, and a third of a sum by week.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from serving.reports.periods import By, Range, end_of, start_of
from serving.reports.suppression import COLUMN

Row = dict[str, Any]

_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)
DATES: dict[str, Any] = {"period": pl.String, "period_start": pl.Date, "period_end": pl.Date}
INSTANTS: dict[str, Any] = {
    "period": pl.String,
    "period_start": pl.Datetime("us"),
    "period_end": pl.Datetime("us"),
}


@lru_cache(maxsize=20_000)
def period_of(by: By, day: date) -> tuple[str, date, date]:
    """The period a date lies in: its name in ISO 8601, first and last date."""
    start, end = start_of(day, by), end_of(day, by)
    if by is By.WEEK:
        year, week, _ = start.isocalendar()
        return f"{year}-W{week:02d}", start, end
    return f"{start:%Y-%m}" if by is By.MONTH else start.isoformat(), start, end


def fold_days(rows: Iterable[Row], by: By, dates: Range, figures: Sequence[str]) -> list[Row]:
    """Rows of days (`date`, figures) as rows of periods, in order; those without downloads are left out.

    figures: the columns to sum, downloads first. Of COLUMN the largest day counts: a period has at least the
    listeners of each of its days.
    """
    found: dict[date, Row] = {}
    for row in sorted(rows, key=_date):
        name, start, end = period_of(by, row["date"])
        period = found.get(start)
        if period is None:
            period = found[start] = {"period": name, "period_start": start, "period_end": end}
            for figure in figures:
                period[figure] = row[figure]
            if COLUMN in row:
                period[COLUMN] = row[COLUMN]
            period["is_complete"] = start >= dates.whole_from and end <= dates.whole_to
        else:
            for figure in figures:
                period[figure] += row[figure]
            if COLUMN in row:
                period[COLUMN] = max(period[COLUMN], row[COLUMN])
    return [period for period in found.values() if period[figures[0]] > 0]


def _date(row: Row) -> date:
    day: date = row["date"]
    return day


def bounds(dates: Range, time_zone: str) -> tuple[datetime, datetime]:
    """The instants, UTC without zone, at which these dates begin and are over in a time zone."""
    zone = ZoneInfo(time_zone)
    begin, end = (
        datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC).replace(tzinfo=None)
        for day in (dates.first, dates.last + _DAY)
    )
    return begin, end


def name_hours(rows: Iterable[Row], time_zone: str, dates: Range) -> list[Row]:
    """Rows of UTC hours (`hour`, downloads) as rows of local ones, in order, in a zone of whole hours."""
    zone, named = ZoneInfo(time_zone), []
    for row in sorted(rows, key=lambda one: one["hour"]):
        hour: datetime = row["hour"]
        if not row["downloads"]:
            continue
        local = hour.replace(tzinfo=UTC).astimezone(zone)
        period: Row = {
            "period": local.isoformat(timespec="minutes"),
            "period_start": hour,
            "period_end": hour + _HOUR,
            "downloads": row["downloads"],
        }
        if COLUMN in row:
            period[COLUMN] = row[COLUMN]
        period["is_complete"] = dates.whole_from <= local.date() <= dates.whole_to
        named.append(period)
    return named
