"""Marts made by hand in memory: random downloads, and the aggregates that follow from them, by plain SQL."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb

from ingest.settings import Window
from serving.reports.asking import Basis, OverConnection
from serving.reports.shows import Scope, Shows
from tests.serving.api.published import contracts

Row = dict[str, Any]

# Sunday 25 October 2026 has 25 hours in Berlin, 2:00 to 3:00 twice.
START = datetime(2026, 10, 20)
BASIS = Basis(7, "2026-11-05T00:00:00+00:00", Window.CALENDAR, "UTC")
_MEASURES = "downloads", "downloads_calendar", "downloads_first_touch", "downloads_last_touch"


def some_downloads(
    count: int, listeners: int, seed: int = 1, show: str = "show", days: int = 14
) -> list[Row]:
    """Calendar downloads: at most one a listener, episode and date. Every third is one of last touch, too."""
    rng, seen, rows = random.Random(seed), set(), []
    while len(rows) < count:
        at = START + timedelta(seconds=rng.randrange(days * 86_400))
        listener, episode = rng.randrange(listeners), rng.randrange(3)
        if (listener, episode, at.date()) in seen:
            continue
        seen.add((listener, episode, at.date()))
        rows.append(a_download(at, listener, episode, last_touch=int(len(rows) % 3 == 0)))
    return rows


def a_download(
    at: datetime, listener: int, episode: int = 0, show: str = "show", last_touch: int = 1, **more: Any
) -> Row:
    return {
        "source_class": "server_log",
        "show_id": show,
        "episode_id": f"guid-{episode}",
        "episode_key": episode,
        "listener_key": listener,
        "date": at.date(),
        "first_request_at": at,
        "downloads": 1,
        "downloads_calendar": 1,
        "downloads_first_touch": 1,
        "downloads_last_touch": last_touch,
        "app": f"app{listener % 4}",
        "threshold_source": "episode",
        "is_comparable": True,
        **more,
    }


def marts(downloads: Sequence[Row]) -> OverConnection:
    """All marts by their contracts; those of downloads filled from these, the others empty."""
    con = duckdb.connect()
    for mart, columns in contracts().items():
        listed = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
        con.execute(f"create table {mart} ({listed})")
    for row in downloads:
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        con.execute(f"insert into fct_downloads ({names}) values ({marks})", list(row.values()))
    sums = ", ".join(f"sum({name})::bigint as {name}" for name in _MEASURES)
    daily = f"""{sums}, count(distinct listener_key) filter (downloads = 1) as listeners,
        count(*) filter (threshold_source <> 'episode') as estimated_downloads, 0 as uncomparable_downloads,
        0 as requests, 0 as served_bytes"""
    for mart, sql in {
        "dim_shows": "select show_id, 'Title' as show_title, 3 as episodes from fct_downloads group by all",
        "dim_episodes": "select episode_key, episode_id, show_id, 'Title ' || episode_key as episode_title,"
        " true as is_in_catalog from fct_downloads group by all",
        "fct_show_daily": f"select date, source_class, show_id, {daily} from fct_downloads group by all",
        "fct_episode_daily": "select date, source_class, show_id, episode_id, episode_key,"
        f" {daily} from fct_downloads group by all",
        "fct_episode_hourly": "select date, date_trunc('hour', first_request_at) as hour, source_class,"
        f" show_id, episode_key, {sums} from fct_downloads group by all",
        "fct_show_dimensions_daily": "select date, source_class, show_id, 'app' as dimension, app as value,"
        f" {sums}, count(distinct listener_key) filter (downloads = 1) as listeners"
        " from fct_downloads group by all",
    }.items():
        con.execute(f"insert into {mart} by name {sql}")
    return OverConnection(con)


def scope(asks: OverConnection, outside: bool = False, show: str = "show", **more: Any) -> Scope:
    shows = Shows.load(asks)
    found = shows.get(show)
    assert found is not None
    return Scope.of(shows, found, BASIS, outside=outside, **more)


def local(row: Row, zone: str) -> datetime:
    from zoneinfo import ZoneInfo

    at: datetime = row["first_request_at"]
    return at.replace(tzinfo=UTC).astimezone(ZoneInfo(zone))


def day(text: str) -> date:
    return date.fromisoformat(text)
