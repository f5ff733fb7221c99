"""A show in a few figures: the newest days beside those before them."""

from __future__ import annotations

from datetime import timedelta

from serving.reports.asking import Query, Report
from serving.reports.periods import FIRST_DATE
from serving.reports.shows import Scope

SPANS = (7, 28)  # days
LISTENERS_28 = ("listeners_28", "new_listeners_28", "returning_listeners_28")


def headlines(scope: Scope, with_new: bool = True) -> Report:
    """One row: downloads in the last 7 and 28 whole days and in those before; listeners likewise.

    Columns: last_date, downloads_7, downloads_7_before, downloads_28, downloads_28_before, downloads_all,
    listeners_7, listeners_28, new_listeners_28, returning_listeners_28, first_date. The listeners are null
    where there were none. with_new: with the new and returning ones. A span before the data begin is not
    whole: compare first_date.
    """
    scope.only_published("headlines")
    last = (scope.ends[1] if scope.ends else FIRST_DATE) - timedelta(days=1)
    shown = "$last" if scope.ends else "cast(null as date)"
    spans = ", ".join(
        f"coalesce(cast(sum(downloads) filter (date between $last - {days * to - 1} and $last - "
        f"{days * (to - 1)}) as bigint), 0) as downloads_{days}{'' if to == 1 else '_before'}"
        for days in SPANS
        for to in (1, 2)
    )
    least = (
        ", max(listeners) filter (date > $last - 7 and date <= $last) as least_listeners"
        if scope.outside
        else ""
    )
    new = (
        ", max(new_listeners) filter (period = 'trailing_28') as new_listeners_28"
        ", max(returning_listeners) filter (period = 'trailing_28') as returning_listeners_28"
        if with_new
        else ""
    )
    sql = f"""
        with counted as (
            select {spans}, coalesce(cast(sum(downloads) as bigint), 0) as downloads_all,
                min(date) as first_date {least}
            from fct_show_daily
            where show_id = $show and source_class = $class
        ),
        heard as (
            select max(listeners) filter (period = 'trailing_7') as listeners_7,
                max(listeners) filter (period = 'trailing_28') as listeners_28 {new}
            from fct_show_listeners
            where show_id = $show and source_class = $class and period_end = $last
                and period in ('trailing_7', 'trailing_28')
        )
        select {shown} as last_date, counted.*, heard.*
        from counted cross join heard
    """
    figures = tuple(f"downloads_{days}{which}" for days in SPANS for which in ("", "_before"))
    return Report(
        Query.of(sql, scope.params, {"last": last}),
        scope.about(scope.rule),
        scope.outside,
        (*figures, "downloads_all", "listeners_7", *LISTENERS_28),
    )
