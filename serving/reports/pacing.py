"""How episodes grow since publication, against the middle half of their show's episodes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import polars as pl

from serving.reports.asking import Asks, Query, Report
from serving.reports.downloads import Episode
from serving.reports.episodes import titles
from serving.reports.rules import PACING
from serving.reports.shows import Scope
from serving.reports.suppression import COLUMN, LEAST

Row = dict[str, Any]

MOST_EPISODES = 100
_AGES = 10  # of an episode, at most
_QUARTILES = ("p25_downloads", "median_downloads", "p75_downloads")
_BAND = """
    select age_days, p25_downloads, median_downloads, p75_downloads, episodes, episodes_too_young,
        episodes_before_data, episodes_without_date
    from fct_show_pacing
    where show_id = $show and source_class = $class
"""
_SCHEMA: dict[str, Any] = {
    **dict.fromkeys(("episode_id", "episode_title"), pl.String),
    "published_at": pl.Datetime("us"),
    **dict.fromkeys(("age_days", "downloads"), pl.Int64),
    "completeness": pl.String,
    "is_complete": pl.Boolean,
    "ratio_to_show_median": pl.Float64,
    **dict.fromkeys(("rank_in_show", "episodes"), pl.Int64),
    **dict.fromkeys(_QUARTILES, pl.Float64),
}
_BAND_SCHEMA: dict[str, Any] = {
    "age_days": pl.Int64,
    **dict.fromkeys(_QUARTILES, pl.Float64),
    "episodes": pl.Int64,
    **dict.fromkeys(("episodes_too_young", "episodes_before_data", "episodes_without_date"), pl.Int64),
}


def band(scope: Scope) -> Report:
    """Rows by age_days: p25_downloads, median_downloads, p75_downloads, over how many episodes.

    Beside them, why other episodes are not among these.
    """
    scope.only_published("paces")
    figures = ("median_downloads", "p25_downloads", "p75_downloads")
    return Report(
        Query(_BAND, scope.params),
        scope.about(PACING),
        scope.outside,
        figures,
        (),
        lambda rows, _: _with_least(rows, "p25_downloads") if scope.outside else _by_age(rows),
        _BAND_SCHEMA,
    )


def paces(
    scope: Scope, episode: Episode | None = None, most: int = 20, keys: Iterable[int] | None = None
) -> Report:
    """Rows by episode, the newest first, and age_days: its downloads beside the show's band.

    episode: this one only; keys: these only. most: episodes. Three queries.
    """
    scope.only_published("paces")
    most = min(most, MOST_EPISODES)
    sql = f"""
        select episode_id, published_at, age_days, downloads, completeness, is_complete, ratio_to_show_median,
            rank_in_show, episode_key
        from fct_episode_pacing
        where show_id = $show and source_class = $class {"and episode_key = $episode" if episode else ""}
            {"" if keys is None else "and list_contains(cast($keys as bigint[]), episode_key)"}
        order by published_at desc, episode_key, age_days
        limit $rows
    """
    params = {
        "episode": episode.episode_key if episode else None,
        "keys": None if keys is None else list(keys),
        "rows": most * _AGES,
    }
    return Report(
        Query.of(sql, scope.params, params),
        scope.about(PACING, **(episode.about if episode else {})),
        scope.outside,
        ("downloads", "ratio_to_show_median", "rank_in_show"),
        (),
        lambda rows, asks: _beside_band(rows, asks, scope, most),
        _SCHEMA,
    )


def _beside_band(rows: Iterable[Row], asks: Asks, scope: Scope, most: int) -> list[Row]:
    """The newest `most` episodes; outsiders see quartiles of enough listeners only."""
    bands = _with_least(asks.rows(_BAND, scope.params), "p25_downloads")
    by_age = {row["age_days"]: row for row in bands}
    of_episode: dict[int, list[Row]] = {}
    for row in sorted(rows, key=lambda one: (_newest(one), one["age_days"])):
        of_episode.setdefault(row.pop("episode_key"), []).append(row)
    chosen = dict(list(of_episode.items())[:most])
    named = titles(scope, asks, chosen)
    found = []
    for key, paced in chosen.items():
        title, _ = named.get(key, (None, None))
        for row in _with_least(paced, "downloads") if scope.outside else paced:
            row = {"episode_id": row.pop("episode_id"), "episode_title": title} | row
            of_age = by_age.get(row["age_days"], {})
            is_hidden = scope.outside and of_age.get(COLUMN, 0) < LEAST
            beside = {name: None if is_hidden else of_age.get(name) for name in _QUARTILES}
            found.append({**row, "episodes": of_age.get("episodes"), **beside})
    return found


def _newest(row: Row) -> tuple[float, int]:
    """Sorts the newest episode first."""
    return -row["published_at"].timestamp(), row["episode_key"]


def _by_age(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: row["age_days"])


def _with_least(rows: Iterable[Row], downloads: str) -> list[Row]:
    """By age, with how many listeners there are at least.

    One has a download a window, a day, and N days touch N + 1 dates. Older, an episode has no fewer of them.
    """
    least, found = 0, []
    for row in _by_age(rows):
        least = max(least, int((row[downloads] or 0) // (row["age_days"] + 1)))
        found.append({**row, COLUMN: least})
    return found
