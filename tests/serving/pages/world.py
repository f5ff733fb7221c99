"""A publication for the pages: three shows with 140 days of downloads made in SQL, all else counted of these.

show-a "Garden Talk", ann's, with the seven collaborations of tests/attribution/published_marts; a prefix
sees its last days again. evil, bob's: its title, its episodes' and its record are hostile; seven listeners.
open-1, nobody's: downloads and audience are open to the public.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from serving.publish import publish
from tests.attribution import published_marts as collaborations
from tests.attribution.published_marts import HOSTILE
from tests.serving.api.published import contracts

OWN, EVIL, OPEN = "show-a", "evil", "open-1"
TITLES = {OWN: "Garden Talk", EVIL: HOSTILE, OPEN: "Open Water"}
LISTENERS = {OWN: 60, EVIL: 7, OPEN: 40}
EPISODES = 20  # of each show, one a week from FIRST
FIRST = datetime(2026, 4, 18, 6)
LAST_DAY = "2026-09-04"  # the data end within it
PODCASTS = {OWN: 11, EVIL: 12, OPEN: 13}
SCRIPT = "javascript:alert(1)"

_MEASURES = ("downloads", "downloads_calendar", "downloads_first_touch", "downloads_last_touch")
_SUMS = ", ".join(f"sum({name})::bigint as {name}" for name in _MEASURES)
_DAILY = f"""{_SUMS}, count(distinct listener_key) as listeners, 0 as estimated_downloads,
    0 as uncomparable_downloads, count(*) as requests, 0 as served_bytes"""


def episode_key(show_id: str, number: int) -> int:
    return -(list(TITLES).index(show_id) * 1000 + number)


def build(published_dir: Path) -> Path:
    """Publish the world as the platform does; the warehouse it is from, to publish it again."""
    published_dir.mkdir(parents=True, exist_ok=True)
    warehouse = published_dir.parent / "warehouse.duckdb"
    with duckdb.connect(str(warehouse)) as con:
        con.execute("create schema marts")
        con.execute("use marts")
        for mart, columns in contracts().items():
            listed = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
            con.execute(f"create table {mart} ({listed})")
        _catalogue(con)
        _downloads(con)
        for mart, sql in _COUNTED.items():
            con.execute(f"insert into {mart} by name {sql}")
        _collaborations(con, published_dir.parent)
        _podcasts(con)
    publish(warehouse, published_dir, keep=3, window="calendar")
    return warehouse


def _insert(con: duckdb.DuckDBPyConnection, mart: str, **row: Any) -> None:
    con.execute(
        f"insert into {mart} ({', '.join(row)}) values ({', '.join('?' * len(row))})", list(row.values())
    )


def _catalogue(con: duckdb.DuckDBPyConnection) -> None:
    for show_id, title in TITLES.items():
        for number in range(EPISODES):
            name = f"Week {number + 1}" if show_id != EVIL else f"{HOSTILE} {number + 1}"
            con.execute(
                "insert into dim_episodes (episode_key, episode_id, show_id, episode_title, published_at,"
                " duration_s, is_in_catalog, origin) values"
                " (?, ?, ?, ?, ?::timestamp + to_days(?), 1800, true, 'list')",
                [episode_key(show_id, number), f"{show_id}/{number}", show_id, name, FIRST, 7 * number],
            )
        con.execute(
            "insert into dim_shows select show_id, ?, count(*), min(published_at), max(published_at)"
            " from dim_episodes where show_id = ? group by show_id",
            [title, show_id],
        )


def _downloads(con: duckdb.DuckDBPyConnection) -> None:
    """Of each listener and episode at most one, most within days of publication."""
    for show_id, listeners in LISTENERS.items():
        con.execute(
            f"""
            insert into fct_downloads by name
            select source_class, 'cdn' as source, show_id, episode_id, episode_key, listener_key,
                cast(instant as date) as date, instant as first_request_at, instant as last_request_at,
                1 as downloads, 1 as downloads_calendar,
                if(listener_key % 9 = 0, 0, 1) as downloads_first_touch,
                1 as downloads_last_touch,
                ['Apple Podcasts', 'Overcast', 'AntennaPod', 'Spotify', null][1 + listener_key % 5] as app,
                ['mobile', 'mobile', 'computer', 'smart_speaker'][1 + listener_key % 4] as device_category,
                ['DE', 'DE', 'DE', 'AT', 'FR', 'NZ'][1 + listener_key % 6] as country,
                'episode' as threshold_source, true as is_comparable, true as is_in_catalog
            from (
                select *, published_at + to_seconds(cast(power(u, 4) * 25 * 86400 as bigint)) as instant
                from (
                    select e.*, l.range as listener_key,
                        (hash(e.episode_key, l.range, 1) % 10000) / 10000.0 as u,
                        hash(e.episode_key, l.range, 2) % 100 as chance
                    from dim_episodes as e, range({listeners}) as l
                    where e.show_id = ?
                )
                where chance < 70
            ), (values ('server_log'), ('prefix')) as c(source_class)
            where instant < timestamp '{LAST_DAY} 12:00'
                and (source_class = 'server_log' or (show_id = '{OWN}' and instant > timestamp '2026-08-26'))
            """,
            [show_id],
        )


_PERIODS = """
    (select distinct cast(date_trunc('week', date) as date) as start,
        cast(date_trunc('week', date) as date) + 6 as stop, 'week' as period from fct_downloads
    union all select distinct cast(date_trunc('month', date) as date), last_day(date), 'month'
        from fct_downloads
    union all select distinct date, date, 'day' from fct_downloads
    union all select distinct date - 27, date, 'trailing_28' from fct_downloads) as p
"""
_LISTENERS = f"""
    select p.period, p.start as period_start, p.stop as period_end, p.stop < date '{LAST_DAY}' as is_complete,
        d.source_class, d.show_id, count(distinct listener_key) as listeners, 0 as uncomparable_listeners,
        count(distinct listener_key) filter (first_date >= p.start) as new_listeners,
        count(distinct listener_key) filter (first_date < p.start) as returning_listeners
"""
_FIRSTS = """(
    select *, min(date) over (partition by source_class, show_id, listener_key) as first_date
    from fct_downloads
) as d"""
_DIMENSIONS = " union all ".join(
    f"""select date, source_class, show_id, '{name}' as dimension, coalesce({name}, 'unknown') as value,
        {_SUMS}, count(distinct listener_key) as listeners from fct_downloads group by all"""
    for name in ("app", "device_category", "country")
)
_AGES = "(values (1), (3), (7), (14), (30)) as a(age_days)"
_COUNTED = {
    "fct_show_daily": f"select date, source_class, show_id, {_DAILY} from fct_downloads group by all",
    "fct_episode_daily": f"""select date, source_class, show_id, episode_id, episode_key, {_DAILY}
        from fct_downloads group by all""",
    "fct_show_listeners": f"{_LISTENERS} from {_PERIODS} join {_FIRSTS} on d.date between p.start and p.stop"
    " group by all",
    "fct_episode_listeners": f"""{_LISTENERS}, d.episode_key from {_PERIODS} join {_FIRSTS}
        on d.date between p.start and p.stop group by all""",
    "fct_show_dimensions_daily": _DIMENSIONS,
    "fct_episode_pacing": f"""
        select *, downloads / show_median as ratio_to_show_median, 'complete' as completeness,
            true as is_complete,
            rank() over (partition by source_class, show_id, age_days order by downloads desc) as rank_in_show
        from (
            select *, median(downloads) over (partition by source_class, show_id, age_days) as show_median
            from (
                select d.source_class, d.show_id, d.episode_id, d.episode_key, e.published_at, a.age_days,
                    count(*) as downloads
                from fct_downloads as d join dim_episodes as e using (episode_key)
                join {_AGES} on d.first_request_at < e.published_at + to_days(a.age_days)
                    and e.published_at + to_days(a.age_days) < timestamp '{LAST_DAY} 12:00'
                where d.source_class = 'server_log' group by all
            )
        )""",
    "fct_show_pacing": """
        select source_class, show_id, age_days, count(*) as episodes,
            quantile_cont(downloads, 0.25) as p25_downloads,
            median(downloads) as median_downloads, quantile_cont(downloads, 0.75) as p75_downloads,
            0 as episodes_too_young, 0 as episodes_before_data, 0 as episodes_without_date
        from fct_episode_pacing group by all""",
    "fct_exclusions_daily": """
        select date, source_class, source, show_id, reason, count(*) as requests,
            count(*) as requests_calendar, count(*) as requests_first_touch, count(*) as requests_last_touch
        from fct_downloads
        join (values ('bot', 7), ('duplicate', 1), ('below_threshold', 3)) as r(reason, nth)
            on listener_key % r.nth = 0 group by all""",
    "fct_show_reconciliation_daily": f"""
        select date, show_id, p.downloads as prefix_downloads, s.downloads as server_log_downloads,
            0 as difference, 0.0 as difference_share, 0 as unaccounted_downloads, true as is_within_tolerance,
            'agrees' as likely_cause, date < date '{LAST_DAY}' as is_complete
        from fct_show_daily as p join fct_show_daily as s using (show_id, date)
        where p.source_class = 'prefix' and s.source_class = 'server_log'""",
}


def _collaborations(con: duckdb.DuckDBPyConnection, folder: Path) -> None:
    for mart, frame in {
        "fct_collaboration_lift": pl.DataFrame(collaborations.LIFTS, collaborations.LIFT),
        "fct_collaboration_cohorts": pl.DataFrame(collaborations.COHORT_ROWS, collaborations.COHORTS),
        "fct_collaboration_overlaps": pl.DataFrame(
            collaborations.OVERLAP_ROWS, collaborations.OVERLAPS, orient="row"
        ),
        "fct_attribution_gross": pl.DataFrame(collaborations.GROSS_ROWS, collaborations.GROSS, orient="row"),
    }.items():
        frame.write_parquet(rows := folder / f"{mart}.parquet")
        con.execute(f"insert into {mart} by name from read_parquet('{rows}')")
        rows.unlink()
    con.execute(
        "insert into fct_collaboration_daily by name select 1 as collaboration_id,"
        " date '2026-06-01' + cast(n as integer) as date, 100 * n as exposed, 2 * n as converted,"
        " 1.0 * n as organic, 1.0 * n as excess from range(44) as r(n)"
    )


def _podcasts(con: duckdb.DuckDBPyConnection) -> None:
    at = datetime(2026, 9, 3, 12)
    for show_id, key in PODCASTS.items():
        _insert(
            con, "dim_podcasts", podcast_key=key, show_id=show_id, title=TITLES[show_id], author="The makers",
            feed_url=f"https://feeds.example/{show_id}.xml?token=secret", language="en",
            episode_count=EPISODES, content_changed_at=at,
            link=SCRIPT if show_id == EVIL else f"https://www.example/{show_id}",
            registry_reason="asked for by bob", polled_at=at, fetched_at=at, tier_reason="every 7 days",
        )  # fmt: skip
        _insert(
            con, "fct_feed_health", podcast_key=key, show_id=show_id, health="good", polls=9, promise_s=3600
        )
        changes = [
            (1, "podcast.added", None, False, "title", None, TITLES[show_id]),
            (2, "episode.created", f"{show_id}/0", False, "title", None, "Week 1"),
            (2, "episode.created", f"{show_id}/0", False, "duration_s", None, "1800.0"),
            (3, "episode.updated", f"{show_id}/0", True, "title", "Week one", "Week 1"),
            (4, "podcast.updated", None, False, "description", "Old words", HOSTILE),
            (4, "podcast.updated", None, False, "feed_url", "https://a.example/?token=secret", "https://b"),
        ]
        for sequence, change, episode, is_minor, field, old, new in changes:
            _insert(
                con, "fct_metadata_changes", podcast_key=key, sequence=sequence, detected_at=at,
                change=change, episode_id=episode, is_minor=is_minor, field=field, old_value=old,
                new_value=new,
            )  # fmt: skip
    _insert(
        con, "dim_sources", source="cdn", source_class="server_log", formats="cloudfront", is_comparable=True,
        files=3, held_files=0, refused_files=0, requests=5000, rejects=2, last_event_at=at,
    )  # fmt: skip
