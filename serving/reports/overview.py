"""The whole platform, or the shows of one tenant: downloads by day, and its largest shows and episodes."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import Any

from ingest.schema import SourceClass
from serving.reports.asking import Basis, Query, Report
from serving.reports.periods import By, Range, ends_of, is_whole, label, range_of, starts
from serving.reports.rules import DOWNLOADS, REQUESTED
from serving.reports.shows import Shows

Row = dict[str, Any]

MOST = 1000


class Together:
    """Several shows under one source class; `ids` None: all of the platform. left_out: unseen by it."""

    def __init__(
        self, shows: Shows, basis: Basis, ids: Collection[str] | None, source_class: SourceClass | None = None
    ) -> None:
        there = [name for name in SourceClass if name in shows.ends]
        main = SourceClass.SERVER_LOG if SourceClass.SERVER_LOG in there or not there else there[0]
        self.source_class = source_class or main
        self.basis, self.ends = basis, shows.ends.get(self.source_class)
        self.ids = None if ids is None else sorted(ids)
        among = (
            shows.by_id.values() if ids is None else (shows.by_id[one] for one in ids if one in shows.by_id)
        )
        unseen = [show for show in among if show.seen and self.source_class not in show.seen]
        self.left_out = {name: sum(1 for show in unseen if name in show.seen) for name in SourceClass}

    @property
    def where(self) -> str:
        chosen = "" if self.ids is None else "and show_id in (select unnest($shows))"
        return f"source_class = $class and date between $first and $last and show_id is not null {chosen}"

    @property
    def params(self) -> Row:
        return {"class": str(self.source_class), "shows": self.ids}

    def about(self, dates: Range, **more: object) -> Row:
        return {
            "source_class": self.source_class,
            "window": self.basis.window,
            "time_zone": self.basis.time_zone,
            "from": dates.first,
            "to": dates.last,
            "rule": (REQUESTED if self.source_class is SourceClass.PREFIX else DOWNLOADS).about,
            "version": self.basis.version,
            "made_at": self.basis.made_at,
            "notes": [
                f"left out: {count} show{'s' if count > 1 else ''} that {name} alone has seen; ask with "
                f"source_class={name}"
                for name, count in self.left_out.items()
                if count
            ],
            **more,
        }


def by_period(of: Together, by: By = By.DAY, first: date | None = None, last: date | None = None) -> Report:
    """Rows: period, period_start, period_end, downloads, shows with one, is_complete. Raises BadQuestion."""
    by = By.DAY if by is By.HOUR else by
    dates = range_of(by, first, last, of.ends)
    end = ends_of(by, "period_start")
    sql = f"""
        select {label(by, "period_start")} as period, period_start, {end} as period_end, downloads, shows,
            {is_whole("period_start", end)} as is_complete
        from (
            select {starts(by, "date")} as period_start, cast(sum(downloads) as bigint) as downloads,
                count(distinct show_id) filter (downloads > 0) as shows
            from fct_show_daily where {of.where} group by all
        )
        where downloads > 0
        order by period_start
    """
    return Report(Query.of(sql, of.params, dates.params), of.about(dates, by=by))


def top_shows(of: Together, first: date | None = None, last: date | None = None, most: int = 10) -> Report:
    """Rows: rank, show_id, show_title, downloads in the range, share of all. Raises BadQuestion."""
    dates = range_of(None, first, last, of.ends)
    sql = f"""
        with counted as (
            select show_id, sum(downloads) as downloads from fct_show_daily where {of.where}
            group by show_id having sum(downloads) > 0
        ),
        ranked as (
            select *, rank() over (order by downloads desc) as rank, sum(downloads) over () as of_all
            from counted order by downloads desc, show_id limit $most
        )
        select rank, ranked.show_id, s.show_title, cast(downloads as bigint) as downloads,
            round(downloads / of_all, 6) as share
        from ranked left join dim_shows as s on ranked.show_id = s.show_id
        order by rank, ranked.show_id
    """
    return Report(Query.of(sql, of.params, dates.params, {"most": min(most, MOST)}), of.about(dates))


def top_episodes(of: Together, first: date | None = None, last: date | None = None, most: int = 10) -> Report:
    """Rows: rank, show_id, show_title, episode_id, episode_title, published_at, downloads in the range.

    Raises BadQuestion.
    """
    dates = range_of(None, first, last, of.ends)
    sql = f"""
        with counted as (
            select episode_key, show_id, sum(downloads) as downloads from fct_episode_daily where {of.where}
            group by episode_key, show_id having sum(downloads) > 0
        ),
        ranked as (
            select *, rank() over (order by downloads desc) as rank
            from counted order by downloads desc, episode_key limit $most
        )
        select rank, ranked.show_id, s.show_title, e.episode_id, e.episode_title, e.published_at,
            cast(downloads as bigint) as downloads
        from ranked
        left join dim_episodes as e
            on ranked.episode_key = e.episode_key and ranked.show_id = e.show_id
        left join dim_shows as s on ranked.show_id = s.show_id
        order by rank, ranked.show_id, e.episode_id
    """
    return Report(Query.of(sql, of.params, dates.params, {"most": min(most, MOST)}), of.about(dates))
