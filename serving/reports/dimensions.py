"""A show's downloads by app, device, country and the like, over a range or by period."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date
from enum import StrEnum
from typing import Any

import polars as pl

from serving.reports.asking import Asks, BadQuestion, Query, Report, first_rows, hidden_last
from serving.reports.downloads import Episode, about_range
from serving.reports.folding import DATES, period_of
from serving.reports.periods import By, Range, range_of, starts
from serving.reports.shows import Scope
from serving.reports.suppression import COLUMN, LEAST
from serving.reports.told import OUTSIDE_WEEKS, Told, by_week, sums_of_weeks, told_cells

Row = dict[str, Any]

MOST_VALUES = 1000


class Dimension(StrEnum):
    """What downloads are told apart by; each holds all of them: choose one."""

    APP = "app"
    AGENT_TYPE = "agent_type"
    DEVICE = "device"
    DEVICE_CATEGORY = "device_category"
    OS = "os"
    COUNTRY = "country"
    NETWORK_KIND = "network_kind"
    REFERRER_APP = "referrer_app"


def by_dimension(
    scope: Scope,
    dimension: Dimension,
    by: By | None = None,
    first: date | None = None,
    last: date | None = None,
    episode: Episode | None = None,
    most: int = MOST_VALUES,
) -> Report:
    """Rows: value (`unknown` where there is none), downloads, share of all of the range; the largest first.

    by: rows of period, period_start, period_end before these, by time, share being of the period. Dates are
    the marts'. most: values, by their downloads in the whole range; shares are of all. Raises BadQuestion.
    """
    if by is By.HOUR:
        raise BadQuestion("by", "a dimension is told by day, week or month, not by hour")
    scope.check_outside(episode=episode, what="downloads")
    dates = range_of(by, first, last, scope.ends, since=episode.since if episode else None)
    if scope.outside:
        return _outside(scope, dimension, by, dates, min(most, MOST_VALUES))
    if by is None:
        return _over_range(scope, dimension, dates, episode, min(most, MOST_VALUES))
    most = min(most, MOST_VALUES)
    return Report(
        Query.of(
            _summed(scope, dimension, episode, f"{starts(by, 'date')} as period_start, value"),
            scope.params,
            dates.params,
            _params(dimension, episode),
        ),
        _about(scope, dimension, dates, episode) | {"by": by},
        figures=("downloads", "share"),
        finish=lambda rows, _: _by_period(rows, by, dates, most),
        schema=DATES | _VALUE | _COMPLETE,
    )


def _by_period(rows: Sequence[Row], by: By, dates: Range, most: int) -> list[Row]:
    of_period, of_value = Counter[date](), Counter[str]()
    for row in rows:
        of_period[row["period_start"]] += row["downloads"]
        of_value[row["value"]] += row["downloads"]
    largest = set(sorted(of_value, key=lambda value: (-of_value[value], value))[:most])
    found = []
    for row in sorted(rows, key=lambda one: (one["period_start"], -one["downloads"], one["value"])):
        if row["downloads"] and row["value"] in largest:
            name, start, end = period_of(by, row["period_start"])
            found.append(
                {
                    "period": name,
                    "period_start": start,
                    "period_end": end,
                    "value": row["value"],
                    "downloads": row["downloads"],
                    "share": round(row["downloads"] / of_period[start], 6),
                    "is_complete": start >= dates.whole_from and end <= dates.whole_to,
                }
            )
    return found


def _over_range(
    scope: Scope, dimension: Dimension, dates: Range, episode: Episode | None, most: int
) -> Report:
    def shared(rows: list[Row], _: Asks) -> list[Row]:
        total = sum(row["downloads"] for row in rows)
        largest = sorted(rows, key=lambda row: (-row["downloads"], row["value"]))
        return [row | {"share": round(row["downloads"] / total, 6)} for row in largest if row["downloads"]]

    return Report(
        Query.of(
            _summed(scope, dimension, episode, "value"),
            scope.params,
            dates.params,
            _params(dimension, episode),
        ),
        _about(scope, dimension, dates, episode),
        figures=("downloads", "share"),
        finish=shared,
        schema=_VALUE,
        keeps=first_rows(most),
    )


def _outside(scope: Scope, dimension: Dimension, by: By | None, dates: Range, most: int) -> Report:
    """By whole weeks, and sums of them."""
    if by not in (None, By.WEEK):
        raise BadQuestion("by", "a dimension of a show that is not yours is told by week")
    dates = dates.widened(By.WEEK, scope.ends)

    def told(rows: list[Row], asks: Asks) -> list[Row]:
        cells = by_week(rows, "value", "downloads")
        found, weeks = told_cells(Told.of(asks, scope.params), cells, "downloads")
        if by is None:
            sums = sums_of_weeks(cells, "downloads", found, weeks)
            total = sum(downloads for _, downloads, _ in sums)
            return [_cell({"value": value}, downloads, is_told, total) for value, downloads, is_told in sums]
        of_week: Counter[date] = Counter()
        for (start, _), cell in cells.items():
            of_week[start] += cell["downloads"]
        return [
            _cell(
                dict(zip(DATES, period_of(By.WEEK, at), strict=True)) | {"value": value},
                row["downloads"],
                (at, value) in found,
                of_week[at],
            )
            | {"is_complete": at >= dates.whole_from and period_of(By.WEEK, at)[2] <= dates.whole_to}
            for (at, value), row in sorted(
                cells.items(), key=lambda c: (c[0][0], -c[1]["downloads"], c[0][1])
            )
            if row["downloads"]
        ]

    def largest(rows: list[Row]) -> list[bool]:
        counts: Counter[str] = Counter()
        for row in rows:
            counts[row["value"]] += row["downloads"] or 0  # of those told
        kept = set(sorted(counts, key=lambda value: (-counts[value], value))[:most])
        return [row["value"] in kept for row in rows]

    return Report(
        Query.of(
            f"select date, value, downloads, least as {COLUMN} from ({_of_show(scope)})",
            scope.params,
            dates.params,
            _params(dimension, None),
        ),
        _about(scope, dimension, dates, None, OUTSIDE_WEEKS) | {"by": by},
        hides=True,
        figures=("downloads", "share"),
        groups=(),
        finish=told,
        schema=(DATES if by else {}) | _VALUE | (_COMPLETE if by else {}),
        keeps=largest,
        settled=hidden_last("downloads", "value", within="period_start" if by else None),
    )


def _cell(named: Row, downloads: int, is_told: bool, total: int) -> Row:
    share = round(downloads / total, 6)
    return named | {"downloads": downloads, "share": share, COLUMN: LEAST if is_told else 0}


_VALUE: dict[str, Any] = {"value": pl.String, "downloads": pl.Int64, "share": pl.Float64}
_COMPLETE: dict[str, Any] = {"is_complete": pl.Boolean}


def _summed(scope: Scope, dimension: Dimension, episode: Episode | None, told_by: str) -> str:
    source = _of_episode(scope, dimension) if episode else _of_show(scope)
    return f"select {told_by}, cast(sum(downloads) as bigint) as downloads from ({source}) group by all"


def _params(dimension: Dimension, episode: Episode | None) -> Row:
    return {"dimension": str(dimension), "episode": episode.episode_key if episode else None}


def _about(scope: Scope, dimension: Dimension, dates: Range, episode: Episode | None, *notes: str) -> Row:
    return about_range(
        scope,
        dates,
        scope.basis.time_zone,
        *notes,
        dimension=dimension,
        **(episode.about if episode else {}),
    )


def _of_show(scope: Scope) -> str:
    return f"""
        select date, value, {scope.measure} as downloads, listeners as least
        from fct_show_dimensions_daily
        where show_id = $show and source_class = $class and date between $first and $last
            and dimension = $dimension
    """


def _of_episode(scope: Scope, dimension: Dimension) -> str:
    """On one date a download of an episode is a listener."""
    return f"""
        select date, coalesce({dimension}, 'unknown') as value, sum({scope.measure}) as downloads,
            count(distinct listener_key) filter ({scope.measure} = 1) as least
        from fct_downloads
        where show_id = $show and source_class = $class and date between $first and $last
            and episode_key = $episode
        group by all
    """
