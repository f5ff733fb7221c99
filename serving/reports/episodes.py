"""Episodes of a show with what they have got, and the largest of them in a range of dates."""

from __future__ import annotations

from datetime import date

from serving.reports.asking import Query, Report
from serving.reports.downloads import about_range
from serving.reports.periods import range_of
from serving.reports.shows import Scope

MOST = 1001  # a page of the API, and one to know whether there is a next one
_BEFORE_ALL = "timestamp '0001-01-01'"  # where episodes without a date are sorted


def episodes(scope: Scope, most: int = 100, offset: int = 0) -> Report:
    """Rows: the show's episodes, the newest first, with their downloads so far.

    Columns: episode_id, episode_title, published_at, duration_s, enclosure_url, is_removed, downloads,
    first_date, last_date. The enclosure_url is for owners. most, offset: which page of them.
    """
    sql = f"""
        with page as (
            select episode_key, episode_id, episode_title, published_at, duration_s,
                {"" if scope.outside else "enclosure_url,"} removed_at is not null as is_removed
            from dim_episodes
            where show_id = $show and is_in_catalog
            order by coalesce(published_at, {_BEFORE_ALL}) desc, episode_key desc
            limit $most offset $offset
        ),
        counted as (
            select episode_key, cast(sum({scope.measure}) as bigint) as downloads, min(date) as first_date,
                max(date) as last_date {", max(listeners) as least_listeners" if scope.outside else ""}
            from fct_episode_daily
            where show_id = $show and source_class = $class and episode_key in (select episode_key from page)
            group by episode_key
        )
        select page.* exclude (episode_key), coalesce(counted.downloads, 0) as downloads, first_date,
            last_date
            {", coalesce(least_listeners, 0) as least_listeners" if scope.outside else ""}
        from page
        left join counted on page.episode_key = counted.episode_key
        order by coalesce(published_at, {_BEFORE_ALL}) desc, page.episode_key desc
    """
    return Report(
        Query.of(sql, scope.params, {"most": min(most, MOST), "offset": offset}),
        scope.about(scope.rule),
        scope.outside,
    )


def top_episodes(scope: Scope, first: date | None = None, last: date | None = None, most: int = 10) -> Report:
    """Rows: rank, episode_id, episode_title, published_at, downloads in the range, share of the show's.

    Raises BadQuestion.
    """
    dates = range_of(None, first, last, scope.ends)
    sql = f"""
        with counted as (
            select episode_key, episode_id, sum({scope.measure}) as downloads
                {", max(listeners) as least_listeners" if scope.outside else ""}
            from fct_episode_daily
            where show_id = $show and source_class = $class and date between $first and $last
            group by episode_key, episode_id
            having sum({scope.measure}) > 0
        ),
        ranked as (
            select *, rank() over (order by downloads desc) as rank, sum(downloads) over () as of_show
            from counted
            order by downloads desc, episode_key
            limit $most
        )
        select rank, ranked.episode_id, e.episode_title, e.published_at,
            cast(ranked.downloads as bigint) as downloads, round(ranked.downloads / of_show, 6) as share
            {", least_listeners" if scope.outside else ""}
        from ranked
        left join (from dim_episodes where show_id = $show) as e on ranked.episode_key = e.episode_key
        order by rank, ranked.episode_id
    """
    return Report(
        Query.of(sql, scope.params, dates.params, {"most": min(most, MOST)}),
        about_range(scope, dates, scope.basis.time_zone),
        scope.outside,
        ("downloads", "share"),
    )
