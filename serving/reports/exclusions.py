"""Why requests of a show were not counted, by reason, each with its rule; with the downloads they add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import Any

import polars as pl

from serving.reasons import REASONS
from serving.reports.asking import BadQuestion, Query, Report, hidden_last
from serving.reports.downloads import about_range
from serving.reports.folding import period_of
from serving.reports.periods import By, range_of
from serving.reports.rules import EXCLUSIONS
from serving.reports.shows import Scope
from serving.reports.suppression import COLUMN, LEAST
from serving.reports.told import OUTSIDE_WEEKS, Told, by_week, sums_of_weeks, told_cells

Row = dict[str, Any]

DOWNLOAD = "download"  # what stands where a reason does for requests that count
_WORDS = {DOWNLOAD: ("R25", "it counts: the request that begins a download")} | {
    name: (reason.rule, reason.words) for name, reason in REASONS.items()
}
_OUTSIDE = (OUTSIDE_WEEKS,)
_SCHEMA: dict[str, Any] = {
    **dict.fromkeys(("reason", "rule", "words"), pl.String),
    "requests": pl.Int64,
    "share": pl.Float64,
    "is_excluded": pl.Boolean,
}


def exclusions(
    scope: Scope, by: By | None = None, first: date | None = None, last: date | None = None
) -> Report:
    """Rows: reason, rule, words, requests, share of all requests; the most frequent first.

    The reason `download` are the requests that count, one a download: with them the rows add up to the show's
    log lines that could be read. by: rows of period and period_start before these. Raises BadQuestion.
    """
    if by is By.HOUR:
        raise BadQuestion("by", "exclusions are told by day, week or month, not by hour")
    scope.check_outside(what="exclusions")
    if scope.outside and by not in (None, By.WEEK):
        raise BadQuestion("by", "exclusions of a show that is not yours are told by week")
    dates = range_of(by, first, last, scope.ends)
    if scope.outside:
        dates = dates.widened(By.WEEK, scope.ends)
    requests = "requests" if scope.measure == "downloads" else f"requests_{scope.window}"
    day = "date" if by or scope.outside else "null"
    here = "where show_id = $show and source_class = $class and date between $first and $last"
    heard = f", max(listeners) as {COLUMN}" if scope.outside else ""
    sql = f"""
        select {day} as date, reason, cast(sum({requests}) as bigint) as requests
            {f", null as {COLUMN}" if scope.outside else ""}
        from fct_exclusions_daily {here} group by {"date," if by or scope.outside else ""} reason
        union all
        select {day}, '{DOWNLOAD}', cast(sum({scope.measure}) as bigint) {heard}
        from fct_show_daily {here} {"group by date" if by or scope.outside else ""}
    """
    period: dict[str, Any] = {"period": pl.String, "period_start": pl.Date} if by else {}
    return Report(
        Query.of(sql, scope.params, dates.params),
        about_range(scope, dates, scope.basis.time_zone, *(_OUTSIDE if scope.outside else ()), by=by)
        | {"rule": EXCLUSIONS.about},
        scope.outside,
        ("requests", "share"),
        (),
        lambda rows, asks: (
            _outside(rows, by, Told.of(asks, scope.params)) if scope.outside else _counted(rows, by)
        ),
        period | _SCHEMA,
        settled=hidden_last("requests", "reason", within="period_start" if by else None),
    )


def _counted(rows: Sequence[Row], by: By | None) -> list[Row]:
    counted: Counter[tuple[date | None, str]] = Counter()
    of_period: Counter[date | None] = Counter()
    for line in rows:
        begins = period_of(by, line["date"])[1] if by else None
        counted[begins, line["reason"]] += line["requests"] or 0
        of_period[begins] += line["requests"] or 0
    ordered = sorted(counted.items(), key=lambda one: (one[0][0] or date.min, -one[1], one[0][1]))
    return [
        _row(by, start, reason, requests, of_period[start])
        for (start, reason), requests in ordered
        if requests
    ]


def _outside(rows: Sequence[Row], by: By | None, told: Told) -> list[Row]:
    """By whole weeks. No requests are listeners: of a reason there are no more than of the fullest day."""
    cells = by_week(rows, "reason", "requests")
    for (start, _), cell in cells.items():
        heard = cells.get((start, DOWNLOAD), {}).get(COLUMN, 0)
        cell[COLUMN] = min(heard, cell["requests"])
    found, weeks = told_cells(told, cells, "requests", DOWNLOAD)
    if by is None:
        sums = sums_of_weeks(cells, "requests", found, weeks)
        total = sum(requests for _, requests, _ in sums)
        return [
            _row(by, None, reason, requests, total) | {COLUMN: LEAST if is_told else 0}
            for reason, requests, is_told in sums
        ]
    flat = [
        {"date": start, "reason": name, "requests": row["requests"]} for (start, name), row in cells.items()
    ]
    return [
        row | {COLUMN: LEAST if (row["period_start"], row["reason"]) in found else 0}
        for row in _counted(flat, by)
    ]


def _row(by: By | None, start: date | None, reason: str, requests: int, total: int) -> Row:
    rule, words = _WORDS.get(reason, ("ours", reason))
    row: Row = {"period": period_of(by, start)[0], "period_start": start} if by and start else {}
    return row | {
        "reason": reason,
        "rule": rule,
        "words": words,
        "requests": requests,
        "share": round(requests / total, 6),
        "is_excluded": reason != DOWNLOAD,
    }
