"""Why requests of a show were not counted, by reason, each with its rule; with the downloads they add up."""

from __future__ import annotations

from datetime import date

from serving.reasons import REASONS
from serving.reports.asking import BadQuestion, Query, Report
from serving.reports.downloads import about_range
from serving.reports.periods import By, label, range_of, starts
from serving.reports.rules import EXCLUSIONS
from serving.reports.shows import Scope
from serving.reports.suppression import by_column, whole

DOWNLOAD = "download"  # what stands where a reason does for requests that count


def _text(words: str) -> str:
    return "'" + words.replace("'", "''") + "'"


_WORDS = ", ".join(
    f"({_text(name)}, {_text(rule)}, {_text(words)})"
    for name, rule, words in (
        (DOWNLOAD, "R25", "it counts: the request that begins a download"),
        *((name, reason.rule, reason.words) for name, reason in REASONS.items()),
    )
)


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
    start = starts(by, "date") if by else "null"
    here = "where show_id = $show and source_class = $class and date between $first and $last"
    period = f"{label(by, 'period_start')} as period, period_start," if by else ""
    sql = f"""
        with lines as (
            select {start} as period_start, reason, {requests} as requests
            from fct_exclusions_daily {here}
            union all
            select {start} as period_start, '{DOWNLOAD}' as reason, {scope.measure} as requests
            from fct_show_daily {here}
        ),
        counted as (
            select period_start, reason, cast(sum(requests) as bigint) as requests
            from lines group by all having sum(requests) > 0
        )
        select {period} counted.reason, coalesce(w.rule, 'ours') as rule, coalesce(w.words, reason) as words,
            requests, round(requests / sum(requests) over (partition by period_start), 6) as share,
            counted.reason <> '{DOWNLOAD}' as is_excluded
            {", requests as least_listeners" if scope.outside else ""}
        from counted
        left join (values {_WORDS}) as w(name, rule, words) on counted.reason = w.name
        order by period_start, requests desc, reason
    """
    return Report(
        Query.of(sql, scope.params, dates.params),
        about_range(scope, dates, scope.basis.time_zone, by=by) | {"rule": EXCLUSIONS.about},
        scope.outside,
        ("requests", "share"),
        (by_column("period"), by_column("reason")) if by else (whole,),
    )
