"""Periods and ranges of dates: where they begin, how they are written, which are whole."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import cache, lru_cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from serving.reports.asking import BadQuestion, Basis

Row = dict[str, Any]


class By(StrEnum):
    """What a row of time stands for."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"  # ISO
    MONTH = "month"


DEFAULT_DAYS = {By.HOUR: 7, By.DAY: 30, By.WEEK: 182, By.MONTH: 365}  # where no range is asked for
MOST_DAYS = {By.HOUR: 93, By.DAY: 732, By.WEEK: 3660, By.MONTH: 3660}  # some 2,000 rows at most
_DAY = timedelta(days=1)
ZONES = 2 * _DAY  # dates of two zones lie no further apart: they differ by 26 hours at most
FIRST_DATE, LAST_DATE = date(1990, 1, 1), date(2199, 12, 31)


@dataclass(frozen=True, slots=True)
class Range:
    """Dates from first to last, both inclusive, and those of them of which the data are whole."""

    first: date
    last: date
    whole_from: date
    whole_to: date

    @property
    def params(self) -> Row:
        return {
            "first": self.first,
            "last": self.last,
            "whole_from": self.whole_from,
            "whole_to": self.whole_to,
        }

    def widened(self, by: By, ends: tuple[date, date] | None) -> Range:
        """With the whole of the periods that it touches."""
        first, last = start_of(self.first, by), end_of(self.last, by)
        data_first, data_last = ends or (LAST_DATE, FIRST_DATE)
        return Range(first, last, max(first, data_first), min(last, data_last - _DAY))

    @property
    def around(self) -> Row:
        """The marts' dates in which these dates of another zone lie."""
        return {"around_first": self.first - ZONES, "around_last": self.last + ZONES}


def range_of(
    by: By | None,
    first: date | None,
    last: date | None,
    ends: tuple[date, date] | None,
    other_zone: bool = False,
    since: date | None = None,
) -> Range:
    """The dates asked for, or the newest that there are. Raises BadQuestion.

    by: None where the whole range is one row. ends: of the data. since: where the range begins when none is
    asked for.
    """
    for name, given in (("from", first), ("to", last)):
        if given is not None and not FIRST_DATE <= given <= LAST_DATE:
            raise BadQuestion(name, f"{given} is no date between {FIRST_DATE} and {LAST_DATE}")
    data_first, data_last = ends or (LAST_DATE, FIRST_DATE)
    days = timedelta(days=DEFAULT_DAYS[by] if by else 30)
    if first is None and last is None:
        first = since
    if last is None:
        newest = data_last if ends else (first or date(2026, 1, 1))
        last = newest if first is None else max(newest, first)
        if first is not None:
            last = min(last, first + timedelta(days=MOST_DAYS[by or By.DAY]) - _DAY)
    if first is None:
        first = start_of(last - days + _DAY, by) if by else last - days + _DAY
    if first > last:
        raise BadQuestion("from", f"{first} is later than `to`, {last}: exchange them")
    most = MOST_DAYS[by or By.DAY]
    if (last - first).days >= most:
        raise BadQuestion(
            "from",
            f"{first} to {last} are {(last - first).days + 1:,} days, and at most {most:,} can be asked at "
            f"once{f' by {by}' if by else ''}: ask for less, or by a longer period",
        )
    # The last date has not ended yet. In another zone a date holds parts of its neighbours.
    margin = _DAY if other_zone else timedelta(0)
    return Range(first, last, max(first, data_first + margin), min(last, data_last - _DAY - margin))


def start_of(day: date, by: By) -> date:
    """The first date of the period that `day` lies in."""
    if by is By.WEEK:
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if by is By.MONTH else day


def end_of(day: date, by: By) -> date:
    """The last date of the period that `day` lies in."""
    start = start_of(day, by)
    if by is By.WEEK:
        return start + 6 * _DAY
    return (start + 31 * _DAY).replace(day=1) - _DAY if by is By.MONTH else start


def starts(by: By, column: str) -> str:
    """SQL: the first date of the period that a date lies in."""
    return column if by in (By.DAY, By.HOUR) else f"cast(date_trunc('{by}', {column}) as date)"


def ends_of(by: By, start: str) -> str:
    """SQL: the last date of the period that begins on `start`."""
    if by is By.WEEK:
        return f"{start} + 6"
    return f"last_day({start})" if by is By.MONTH else start


def label(by: By, start: str) -> str:
    """SQL: a period in ISO 8601: 2026-09-07, 2026-W37, 2026-09."""
    return f"strftime({start}, '{ {By.WEEK: '%G-W%V', By.MONTH: '%Y-%m'}.get(by, '%Y-%m-%d') }')"


def hour_label(local: str, utc: str) -> str:
    """SQL: a local hour with its offset, 2026-10-25T02:00+01:00: two hours may bear one name."""
    minutes = f"cast(epoch({local} - {utc}) / 60 as integer)"
    return (
        f"strftime({local}, '%Y-%m-%dT%H:%M') || case when {minutes} < 0 then '-' else '+' end"
        f" || strftime(timestamp '2000-01-01' + to_minutes(abs({minutes})), '%H:%M')"
    )


def is_whole(start: str, end: str) -> str:
    """SQL: whether data and range hold the whole period."""
    return f"{start} >= $whole_from and {end} <= $whole_to"


def zone_of(time_zone: str | None, basis: Basis) -> str:
    """The zone that is asked for, or the marts'. Raises BadQuestion."""
    if time_zone is None or time_zone == basis.time_zone:
        return basis.time_zone
    if time_zone not in _zones():
        raise BadQuestion("time_zone", f"{time_zone!r} is no time zone: write it as Europe/Berlin or UTC")
    return time_zone


@cache
def _zones() -> frozenset[str]:
    """Those that DuckDB knows, too; `localtime` is the machine's."""
    return frozenset(available_timezones() - {"localtime", "Factory"})


@lru_cache(maxsize=4096)
def has_whole_hours(time_zone: str, first: date, last: date) -> bool:
    """Whether its clock differs from UTC by whole hours on all these dates: then UTC hours make its days."""
    zone, at = ZoneInfo(time_zone), datetime.combine(first - ZONES, time(), UTC)
    end = datetime.combine(last + ZONES, time(), UTC)
    while at <= end:
        offset = at.astimezone(zone).utcoffset()
        if offset is None or offset % timedelta(hours=1):
            return False
        at += _DAY
    return True
