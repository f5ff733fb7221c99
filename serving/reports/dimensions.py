"""A show's downloads by app, device, country and the like, over a range or by period."""

from __future__ import annotations

from datetime import date
from enum import StrEnum

from serving.reports.asking import BadQuestion, Query, Report
from serving.reports.downloads import Episode, about_range
from serving.reports.periods import By, ends_of, is_whole, label, range_of, starts, zone_of
from serving.reports.shows import Scope
from serving.reports.suppression import by_column, whole

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
    dates = range_of(by, first, last, scope.ends, since=episode.since if episode else None)
    source = _of_episode(scope, dimension) if episode else _of_show(scope)
    least = ", max(least) as least_listeners" if scope.outside else ""
    chosen = f"""
        with counted as ({source}),
        largest as (
            select value from counted group by value
            having sum(downloads) > 0
            order by sum(downloads) desc, value limit $most
        )
    """
    if by is None:
        sql = f"""
            {chosen}
            select value, cast(sum(downloads) as bigint) as downloads,
                round(sum(downloads) / (select sum(downloads) from counted), 6) as share {least}
            from counted
            where value in (from largest)
            group by value
            order by downloads desc, value
        """
    else:
        start = starts(by, "date")
        sql = f"""
            {chosen},
            of_periods as (
                select {start} as period_start, value, sum(downloads) as downloads {least}
                from counted group by all
            ),
            shares as (
                select *, sum(downloads) over (partition by period_start) as of_period from of_periods
            )
            select {label(by, "period_start")} as period, period_start,
                {ends_of(by, "period_start")} as period_end, value, cast(downloads as bigint) as downloads,
                round(downloads / of_period, 6) as share,
                {"least_listeners," if scope.outside else ""}
                {is_whole("period_start", ends_of(by, "period_start"))} as is_complete
            from shares
            where downloads > 0 and value in (from largest)
            order by period_start, downloads desc, value
        """
    params = {
        "dimension": str(dimension),
        "episode": episode.episode_key if episode else None,
        "most": min(most, MOST_VALUES),
    }
    return Report(
        Query.of(sql, scope.params, dates.params, params),
        about_range(
            scope,
            dates,
            zone_of(None, scope.basis),
            by=by,
            dimension=dimension,
            **(episode.about if episode else {}),
        ),
        scope.outside,
        ("downloads", "share"),
        (by_column("period"), by_column("value")) if by else (whole,),
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
