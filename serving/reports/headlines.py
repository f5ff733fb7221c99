"""A show in a few figures: the newest days beside those before them."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import polars as pl

from serving.reports.asking import Asks, Query, Report
from serving.reports.periods import FIRST_DATE
from serving.reports.shows import Scope
from serving.reports.suppression import COLUMN, FLAG, LEAST
from serving.reports.told import Told

Row = dict[str, Any]

SPANS = (7, 28)  # days
_DAY = timedelta(days=1)
# Column: how many days, and how many before the last one they end.
_COUNTED = tuple(
    (f"downloads_{days}{'_before' if back else ''}", days, back) for days in SPANS for back in (0, days)
)
_SPAN_NAMES = tuple(name for name, *_ in _COUNTED)
_NEW = ("new_listeners", "returning_listeners")
_HEARD = """
    select period, listeners, new_listeners, returning_listeners
    from fct_show_listeners
    where show_id = $show and source_class = $class and period_end = $last
        and period in ('trailing_7', 'trailing_28')
"""


def _since(scope: Scope, last: date) -> list[str]:
    seen = scope.show.seen.get(scope.source_class)
    if seen is None:
        return []
    notes = [f"downloads_all are since {seen.first}, when the data of this show begin"]
    cut = [str(days) for days in SPANS if seen.first > last - (days - 1) * _DAY]
    if cut:
        held = max((last - seen.first).days + 1, 0)
        notes.append(f"of the newest {' and '.join(cut)} days the data hold {held}")
    return notes


def _hide(found: Row, told: Told) -> None:
    """Each figure for itself: what outsiders are told of days is told of their sum, and of who they were."""
    hidden = {
        name
        for name, days, back in _COUNTED
        if found["last_date"]
        and not told.tells(found["last_date"] - (back + days - 1) * _DAY, found["last_date"] - back * _DAY)
    }
    hidden |= {f"listeners_{days}" for days in SPANS if f"downloads_{days}" in hidden}
    hidden |= set() if told.is_all else {"downloads_all"}
    found |= dict.fromkeys(hidden) | {COLUMN: LEAST, FLAG: bool(hidden)}


def headlines(scope: Scope, with_new: bool = True) -> Report:
    """One row: downloads in the last 7 and 28 whole days and in those before; listeners likewise.

    Two queries. Columns: last_date, downloads_7, downloads_7_before, downloads_28, downloads_28_before,
    downloads_all, first_date, listeners_7, listeners_28, new_listeners_28, returning_listeners_28. The
    listeners are null where there were none. with_new: with the new and returning ones. A span before, in
    which the show's data begin, is null; of the newest a note says so, and since when all are counted.
    """
    scope.only_published("headlines")
    last = (scope.ends[1] if scope.ends else FIRST_DATE) - _DAY
    first = last - (2 * max(SPANS) - 1) * _DAY
    seen = scope.show.seen.get(scope.source_class)
    sql = f"""
        select date, downloads {f", listeners as {COLUMN}" if scope.outside else ""}
        from fct_show_daily
        where show_id = $show and source_class = $class and date between $first and $last
    """
    # New listeners of several weeks are their sum: outsiders are told them by week alone.
    new = tuple(f"{name}_28" for name in _NEW) if with_new and not scope.outside else ()
    heard = ("listeners_7", "listeners_28", *new)

    def gathered(rows: list[Row], asks: Asks) -> list[Row]:
        found: Row = {"last_date": last if scope.ends else None}
        for name, days, back in _COUNTED:
            until = last - back * _DAY
            within = [row["downloads"] for row in rows if until - days * _DAY < row["date"] <= until]
            begins = until - (days - 1) * _DAY
            # Cut off by where the data begin it compares with nothing.
            is_cut = back and seen is not None and begins < seen.first
            found[name] = None if is_cut else sum(within)
        found["downloads_all"] = seen.downloads if seen else 0
        found["first_date"] = seen.first if seen else None
        spans = {row["period"]: row for row in asks.rows(_HEARD, scope.params | {"last": last})}
        for name in heard:
            figure, _, length = name.rpartition("_")
            found[name] = spans.get(f"trailing_{length}", {}).get(figure)
        if scope.outside:
            _hide(found, Told.of(asks, scope.params))
            newest = max((row[COLUMN] for row in rows if row["date"] > last - 7 * _DAY), default=0)
            if newest < LEAST:
                found |= dict.fromkeys(heard) | {FLAG: True}
        return [found]

    return Report(
        Query.of(sql, scope.params, {"first": first, "last": last}),
        scope.about(scope.rule, notes=_since(scope, last)),
        scope.outside,
        (*_SPAN_NAMES, "downloads_all", *heard),
        finish=gathered,
        schema={
            "last_date": pl.Date,
            **dict.fromkeys((*_SPAN_NAMES, "downloads_all"), pl.Int64),
            "first_date": pl.Date,
            **dict.fromkeys(heard, pl.Int64),
        },
    )
