"""How episodes grow since publication, against the middle half of their show's episodes."""

from __future__ import annotations

from serving.reports.asking import Query, Report
from serving.reports.downloads import Episode
from serving.reports.rules import PACING
from serving.reports.shows import Scope

MOST_EPISODES = 100


def band(scope: Scope) -> Report:
    """Rows by age_days: p25_downloads, median_downloads, p75_downloads, over how many episodes.

    Beside them, why other episodes are not among these.
    """
    scope.only_published("paces")
    sql = f"""
        select age_days, p25_downloads, median_downloads, p75_downloads, episodes, episodes_too_young,
            episodes_before_data, episodes_without_date
            {_least("p25_downloads", "age_days") if scope.outside else ""}
        from fct_show_pacing
        where show_id = $show and source_class = $class
        order by age_days
    """
    figures = ("median_downloads", "p25_downloads", "p75_downloads")
    return Report(Query.of(sql, scope.params), scope.about(PACING), scope.outside, figures, ())


def paces(scope: Scope, episode: Episode | None = None, most: int = 20) -> Report:
    """Rows by episode, the newest first, and age_days: its downloads beside the show's band.

    episode: this one only. most: episodes.
    """
    scope.only_published("paces")
    least = _least("paced.downloads", "paced.age_days", "paced.episode_key") if scope.outside else ""
    sql = f"""
        with paced as (
            select * from fct_episode_pacing
            where show_id = $show and source_class = $class {"and episode_key = $episode" if episode else ""}
        ),
        newest as (
            select episode_key from paced group by episode_key
            order by max(published_at) desc, episode_key limit $most
        )
        select paced.episode_id, e.episode_title, paced.published_at, paced.age_days, paced.downloads,
            paced.completeness, paced.is_complete, paced.ratio_to_show_median, paced.rank_in_show,
            s.episodes, s.p25_downloads, s.median_downloads, s.p75_downloads {least}
        from paced
        inner join newest on paced.episode_key = newest.episode_key
        left join (from dim_episodes where show_id = $show) as e on paced.episode_key = e.episode_key
        left join (from fct_show_pacing where show_id = $show and source_class = $class) as s
            on paced.age_days = s.age_days
        order by paced.published_at desc, paced.episode_key, paced.age_days
    """
    params = {
        "episode": episode.episode_key if episode else None,
        "most": min(most, MOST_EPISODES),
    }
    return Report(
        Query.of(sql, scope.params, params),
        scope.about(PACING, **(episode.about if episode else {})),
        scope.outside,
        ("downloads", "ratio_to_show_median", "rank_in_show"),
        (),
    )


def _least(downloads: str, age: str, of: str = "source_class") -> str:
    """SQL: at least so many listeners: one has a download a window, a day, and N days touch N + 1 dates.

    As an episode grows older its listeners do not become fewer.
    """
    here = f"cast(floor({downloads} / ({age} + 1)) as bigint)"
    return f", max({here}) over (partition by {of} order by {age}) as least_listeners"
