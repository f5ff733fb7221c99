"""Downloads of a show or of one of its episodes by hour, day, week or month, in any time zone.

Days of the marts' own zone are rows of the daily marts. In another zone, and by hour, they are sums of UTC
hours; where a zone's clock is off by parts of an hour they are counted from fct_downloads, as
`earshot report` does: exact each time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from serving.reports.asking import Asks, Query, Report
from serving.reports.folding import DATES, INSTANTS, bounds, fold_days, name_hours
from serving.reports.periods import (
    By,
    Range,
    ends_of,
    has_whole_hours,
    hour_label,
    is_whole,
    label,
    range_of,
    starts,
    zone_of,
)
from serving.reports.shows import Scope
from serving.reports.suppression import COLUMN, LEAST, by_date
from serving.reports.told import Told

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Episode:
    """One episode, as dim_episodes has it."""

    episode_key: int
    episode_id: str
    title: str | None
    published_at: datetime | None
    duration_s: float | None

    @property
    def since(self) -> date | None:
        """From when on it is asked about; a day early, for the sake of zones."""
        return None if self.published_at is None else self.published_at.date() - timedelta(days=1)

    @property
    def about(self) -> Row:
        return {
            "episode_id": self.episode_id,
            "episode_title": self.title,
            "published_at": self.published_at,
        }


def find_episode(asks: Asks, show_id: str, episode_id: str) -> Episode | None:
    """An episode of the show by its GUID; None: there is none."""
    sql = (
        "select episode_key, episode_id, episode_title, published_at, duration_s from dim_episodes"
        " where show_id = $show and episode_id = $episode"
    )
    found = asks.rows(sql, {"show": show_id, "episode": episode_id})
    return Episode(*found[0].values()) if found else None


def downloads(
    scope: Scope,
    by: By = By.DAY,
    first: date | None = None,
    last: date | None = None,
    time_zone: str | None = None,
    episode: Episode | None = None,
) -> Report:
    """Rows: period (ISO 8601), period_start, period_end, downloads, is_complete; none for periods without.

    By hour period_start and period_end are instants, UTC; else dates. By the marts' own dates there are
    estimated_downloads and uncomparable_downloads, too. Raises BadQuestion.
    """
    zone = zone_of(time_zone, scope.basis)
    scope.check_outside(zone, episode, "downloads")
    dates = range_of(
        by, first, last, scope.ends, zone != scope.basis.time_zone, episode.since if episode else None
    )
    if scope.outside and by is not By.HOUR:
        return _told_outside(scope, by, dates.widened(by, scope.ends))
    is_whole = has_whole_hours(zone, dates.first, dates.last)
    params = scope.params | dates.around | {"zone": zone}
    if episode:
        params["episode"] = episode.episode_key
    said = about_range(scope, dates, zone, by=by, **(episode.about if episode else {}))
    if zone == scope.basis.time_zone and by is not By.HOUR:
        figures = _FIGURES if scope.measure == "downloads" else _FIGURES[:1]
        return Report(
            Query.of(_of_dates(scope, figures, episode), params, dates.params),
            said,
            figures=figures,
            finish=lambda rows, _: fold_days(rows, by, dates, figures),
            schema=DATES | dict.fromkeys(figures, pl.Int64) | _COMPLETE,
        )
    if by is By.HOUR and is_whole:
        params["since"], params["until"] = bounds(dates, zone)
        return Report(
            Query.of(_of_hours(scope, episode), params),
            said,
            scope.outside,
            groups=(by_date,),
            finish=lambda rows, asks: _hidden_days(name_hours(rows, zone, dates), asks, scope),
            schema=INSTANTS | {"downloads": pl.Int64} | _COMPLETE,
        )
    sql = _by_clock(scope, by, episode, _HOURS if is_whole else _DOWNLOADS)
    return Report(
        Query.of(sql, params, dates.params),
        said,
        scope.outside,
        groups=(by_date,),
        finish=(lambda rows, asks: _hidden_days(rows, asks, scope)) if scope.outside else None,
        schema=INSTANTS | {"downloads": pl.Int64} | _COMPLETE if scope.outside else None,
    )


def _told_outside(scope: Scope, by: By, dates: Range) -> Report:
    """Whole periods, each told or not whatever else is asked for."""

    def folded(rows: list[Row], asks: Asks) -> list[Row]:
        told = Told.of(asks, scope.params)
        return [
            row
            | {
                COLUMN: LEAST
                if (
                    row["period_start"] in told.days
                    if by is By.DAY
                    else told.tells(row["period_start"], row["period_end"])
                )
                else 0
            }
            for row in fold_days(rows, by, dates, ("downloads",))
        ]

    return Report(
        Query.of(_of_dates(scope, ("downloads",), None), scope.params, dates.params),
        about_range(scope, dates, scope.basis.time_zone, by=by),
        hides=True,
        groups=(),
        finish=folded,
        schema=DATES | {"downloads": pl.Int64} | _COMPLETE,
    )


def _hidden_days(rows: list[Row], asks: Asks, scope: Scope) -> list[Row]:
    """Of days that outsiders are not told no hour is either."""
    if not scope.outside:
        return rows
    days = {str(day) for day in Told.of(asks, scope.params).days}
    return [row if by_date(row) in days else row | {COLUMN: 0} for row in rows]


def about_range(scope: Scope, dates: Range, zone: str, *said: str, **more: object) -> Row:
    """What is said beside downloads of a range of dates."""
    notes = [*said]
    if zone != scope.basis.time_zone:
        notes.append(
            f"periods begin in {zone}, calendar windows at 00:00 {scope.basis.time_zone}: a download counts "
            "in the period of its window's first request"
        )
    return scope.about(
        scope.rule, time_zone=zone, **{"from": dates.first, "to": dates.last}, **more, notes=notes
    )


_FIGURES = ("downloads", "estimated_downloads", "uncomparable_downloads")
_COMPLETE = {"is_complete": pl.Boolean}


def _of_dates(scope: Scope, figures: tuple[str, ...], episode: Episode | None) -> str:
    """A daily mart holds a show's, or an episode's, dates as rows."""
    columns = [f"{scope.measure} as downloads", *figures[1:]]
    if scope.outside:
        columns.append("listeners as least_listeners")
    return f"""
        select date, {", ".join(columns)}
        from {"fct_episode_daily" if episode else "fct_show_daily"}
        where show_id = $show and source_class = $class and date between $first and $last
            {"and episode_key = $episode" if episode else ""}
    """


def _of_hours(scope: Scope, episode: Episode | None) -> str:
    """So many downloads of one episode on one date are as many listeners: of an hour at least the most."""
    return f"""
        select hour, cast(sum({scope.measure}) as bigint) as downloads
            {f", max({scope.measure}) as least_listeners" if scope.outside else ""}
        from fct_episode_hourly
        where show_id = $show and source_class = $class and date between $around_first and $around_last
            and hour >= $since and hour < $until {"and episode_key = $episode" if episode else ""}
        group by hour
    """


# An hour of UTC with its downloads by episode and date; one download is one listener of these.
_HOURS = """
    select episode_key, date, hour as instant, {measure} as downloads
    from fct_episode_hourly
    where show_id = $show and source_class = $class and date between $around_first and $around_last {episode}
"""
_DOWNLOADS = """
    select episode_key, date, first_request_at as instant, cast({measure} as bigint) as downloads
    from fct_downloads
    where show_id = $show and source_class = $class and date between $around_first and $around_last {episode}
"""


def _by_clock(scope: Scope, by: By, episode: Episode | None, instants: str) -> str:
    """Counted anew by the wall clock of a zone."""
    source = instants.format(measure=scope.measure, episode="and episode_key = $episode" if episode else "")
    local = "timezone($zone, timezone('UTC', instant))"
    start, utc = starts(by, "cast(local_time as date)"), "null"
    name, end, order = label(by, "period_start"), ends_of(by, "period_start"), "period_start"
    shown, whole_of = "period_start", ("period_start", end)
    if by is By.HOUR:
        # As an instant: where the clock is turned back two hours bear one name.
        start = "date_trunc('hour', local_time)"
        utc = f"instant - (local_time - {start})"
        name, shown, order = hour_label("period_start", "utc"), "utc", "utc"
        end, date_ = "utc + interval 1 hour", "cast(period_start as date)"
        whole_of = (date_, date_)
    # So many downloads of one episode on one date are as many listeners: at least so many are behind a row.
    of_episodes = ", episode_key, date" if scope.outside else ""
    counted = f"""
        select {start} as period_start, {utc} as utc, cast(sum(downloads) as bigint) as downloads
            {of_episodes}
        from (select *, {local} as local_time from ({source}))
        where cast(local_time as date) between $first and $last
        group by all
    """
    if scope.outside:
        counted = f"""
            select period_start, utc, cast(sum(downloads) as bigint) as downloads,
                max(downloads) as least_listeners
            from ({counted}) group by all
        """
    return f"""
        select {name} as period, {shown} as period_start, {end} as period_end, downloads,
            {"least_listeners," if scope.outside else ""} {is_whole(*whole_of)} as is_complete
        from ({counted}) where downloads > 0
        order by {order}
    """
