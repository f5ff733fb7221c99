"""Listeners of a show or an episode, new and returning, by period: distinct within each, never summed."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Any

import polars as pl

from serving.reports.asking import Asks, Query, Report
from serving.reports.downloads import Episode
from serving.reports.folding import DATES, period_of
from serving.reports.periods import LAST_DATE, By, range_of
from serving.reports.rules import LISTENERS
from serving.reports.shows import Scope
from serving.reports.suppression import COLUMN
from serving.reports.told import Told

Row = dict[str, Any]

_FIGURES = ("listeners", "new_listeners", "returning_listeners", "uncomparable_listeners")


class Period(StrEnum):
    """Within what listeners are distinct; a trailing one ends with each date."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    TRAILING_7 = "trailing_7"
    TRAILING_28 = "trailing_28"


def listeners(
    scope: Scope,
    period: Period = Period.WEEK,
    first: date | None = None,
    last: date | None = None,
    episode: Episode | None = None,
    with_new: bool = True,
) -> Report:
    """Rows: period, period_start, period_end, listeners, new_listeners, returning_listeners,
    uncomparable_listeners, is_complete. Those that touch the range; of trailing ones that end in it.

    with_new: with new_listeners and returning_listeners. Dates are the marts'. Raises BadQuestion.
    """
    scope.only_published("listeners")
    scope.check_outside(episode=episode, what="listeners")
    by = By.DAY if period.startswith("trailing") else By(period)
    dates = range_of(by, first, last, scope.ends, since=episode.since if episode else None)
    trails = period.startswith("trailing")
    at = "period_end" if trails else "period_start"
    touches = (
        "period_end between $first and $last" if trails else "period_start <= $last and period_end >= $first"
    )
    if scope.outside and period is not Period.WEEK:
        with_new = False  # new ones of days are a part of those of weeks: told by one period only (0028)
    columns = [*_FIGURES] if with_new else [_FIGURES[0], _FIGURES[-1]]
    sql = f"""
        select period_start, period_end, {", ".join(columns)}, is_complete
            {f", {_least(columns)} as least_listeners" if scope.outside else ""}
        from {"fct_episode_listeners" if episode else "fct_show_listeners"}
        where show_id = $show and source_class = $class and {touches}
            and period = $period {"and episode_key = $episode" if episode else ""}
    """

    def named(rows: list[Row], asks: Asks) -> list[Row]:
        found = [{"period": period_of(by, row[at])[0]} | row for row in sorted(rows, key=lambda row: row[at])]
        begins = scope.ends[0] if scope.ends else LAST_DATE
        for row in found:  # the mart goes by the data of the class
            start: Any = row["period_start"]
            row["is_complete"] = row["is_complete"] and start >= begins
        if scope.outside:
            # Who comes once is one download: listeners of any dates may be their downloads.
            told = Told.of(asks, scope.params)
            return [row if told.tells(*_dates(row)) else row | {COLUMN: 0} for row in found]
        return found

    params = {"period": str(period), "episode": episode.episode_key if episode else None}
    return Report(
        Query.of(sql, scope.params, dates.params, params),
        scope.about(
            LISTENERS,
            **{"from": dates.first, "to": dates.last},
            period=period,
            **(episode.about if episode else {}),
        ),
        scope.outside,
        _FIGURES,
        (),  # they are no sums of each other, so nothing can be worked out
        named,
        DATES | dict.fromkeys(columns, pl.Int64) | {"is_complete": pl.Boolean},
    )


def _dates(row: Row) -> tuple[date, date]:
    return row["period_start"], row["period_end"]


def _least(columns: list[str]) -> str:
    """SQL: listeners of the smallest part that is told or follows from those told; none is no part."""
    parts = [*columns, f"{_FIGURES[0]} - {_FIGURES[-1]}"]
    return f"least({', '.join(f'nullif({part}, 0)' for part in parts)})"
