"""Why requests of a show were not counted, by reason, each with its rule; with the downloads they add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import Any

import polars as pl

from serving.reasons import REASONS
from serving.reports.asking import BadQuestion, Query, Report
from serving.reports.downloads import about_range
from serving.reports.folding import period_of
from serving.reports.periods import By, range_of
from serving.reports.rules import EXCLUSIONS
from serving.reports.shows import Scope
from serving.reports.suppression import COLUMN, by_column, whole

Row = dict[str, Any]

DOWNLOAD = "download"  # what stands where a reason does for requests that count
_WORDS = {DOWNLOAD: ("R25", "it counts: the request that begins a download")} | {
    name: (reason.rule, reason.words) for name, reason in REASONS.items()
}
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
    dates = range_of(by, first, last, scope.ends)
    requests = "requests" if scope.measure == "downloads" else f"requests_{scope.window}"
    day = "date" if by else "null"
    here = "where show_id = $show and source_class = $class and date between $first and $last"
    heard = f", max(listeners) as {COLUMN}" if scope.outside else ""
    sql = f"""
        select {day} as date, reason, cast(sum({requests}) as bigint) as requests
            {f", null as {COLUMN}" if scope.outside else ""}
        from fct_exclusions_daily {here} group by {"date," if by else ""} reason
        union all
        select {day}, '{DOWNLOAD}', cast(sum({scope.measure}) as bigint) {heard}
        from fct_show_daily {here} {"group by date" if by else ""}
    """
    period: dict[str, Any] = {"period": pl.String, "period_start": pl.Date} if by else {}
    return Report(
        Query.of(sql, scope.params, dates.params),
        about_range(scope, dates, scope.basis.time_zone, by=by) | {"rule": EXCLUSIONS.about},
        scope.outside,
        ("requests", "share"),
        (by_column("period"), by_column("reason")) if by else (whole,),
        lambda rows, _: _told(rows, by, scope.outside),
        period | _SCHEMA,
    )


def _told(rows: Sequence[Row], by: By | None, outside: bool) -> list[Row]:
    counted: Counter[tuple[date | None, str]] = Counter()
    of_period: Counter[date | None] = Counter()
    for line in rows:
        begins = period_of(by, line["date"])[1] if by else None
        counted[begins, line["reason"]] += line["requests"] or 0
        of_period[begins] += line["requests"] or 0
    heard: dict[date | None, int] = {}  # listeners of the fullest day: no requests are listeners
    for line in rows if outside else ():
        begins = period_of(by, line["date"])[1] if by else None
        heard[begins] = max(heard.get(begins, 0), line[COLUMN] or 0)
    found = []
    for (start, reason), requests in sorted(
        counted.items(), key=lambda one: (one[0][0] or date.min, -one[1], one[0][1])
    ):
        if not requests:
            continue
        rule, words = _WORDS.get(reason, ("ours", reason))
        row: Row = {"period": period_of(by, start)[0], "period_start": start} if by and start else {}
        row |= {
            "reason": reason,
            "rule": rule,
            "words": words,
            "requests": requests,
            "share": round(requests / of_period[start], 6),
            "is_excluded": reason != DOWNLOAD,
        }
        if outside:
            least = heard[start]
            row[COLUMN] = least if reason == DOWNLOAD else min(least, requests)
        found.append(row)
    return found
