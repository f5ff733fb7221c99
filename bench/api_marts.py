"""The marts of the API's world, by SQL, of what each show was downloaded a day; no line of a log is made.

`bench.daily` (number, day, downloads) holds all that is drawn; every mart is told from it by arithmetic, so
that daily, hourly and dimension marts agree to the download. A day's downloads are dealt out by halves: of
`n` parts, part i > 0 gets downloads >> (i + 1), part 0 the rest. Marts that bench/api_mix.py does not read
stay empty, and fct_episode_hourly holds HOURLY_DAYS, which is all the API tells by hour at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

import duckdb

from serving.copying import BY_DATE

LAST = date(2026, 9, 30)
HOURLY_DAYS = 93  # serving/reports/periods.py, MOST_DAYS
EPISODE_EVERY, EPISODES_EARLIER, ACTIVE = 7, 4, 4  # days; before the first date; episodes asked for at a time
SHOWS_A_COLLABORATION = 12
VALUES = {
    "app": 8, "country": 6, "device": 4, "device_category": 3, "os": 3, "network_kind": 2, "agent_type": 1,
    "referrer_app": 1,
}  # fmt: skip
_AGES = (1, 3, 7, 14, 30, 60, 90)
_RULES = (
    "downloads as downloads_calendar, downloads as downloads_first_touch, downloads as downloads_last_touch"
)
_REQUESTS = "requests as requests_calendar, requests as requests_first_touch, requests as requests_last_touch"
_REASONS = {"duplicate": 1, "bot": 4, "below_threshold": 9}  # requests: downloads divided by so many

# What a batch's build makes anew; the rest is of whole builds, and is kept.
MADE_BY_BATCH = (*BY_DATE, "dim_shows", "dim_episodes")


def first_date(days: int) -> date:
    return LAST - timedelta(days=days - 1)


def more_of(version: int, number: int) -> int:
    """By how many downloads a show's last date is larger in that version: so they can be told apart."""
    return version * (1 + number % 7)


def fill_days(con: duckdb.DuckDBPyConnection, days: int, version: int, only: Iterable[int]) -> None:
    """Write the marts that are told by date, of these days (0 is the first)."""
    con.execute(f"""
        create or replace temp table counted as
        select number, day, date '{first_date(days)}' + day as date, {_SHOW_ID} as show_id,
            downloads + if(day = {days - 1}, {version} * (1 + number % 7), 0) as downloads
        from bench.daily where day in ({", ".join(map(str, only))})
    """)
    con.execute(f"create or replace temp table of_episodes as {_dealt('counted', ACTIVE, _EPISODE)}")
    _insert(con, "fct_show_daily", f"""
        select date, 'server_log' as source_class, show_id, downloads * 3 as requests,
            downloads * 30000000 as served_bytes, downloads, {_RULES}, downloads as listeners,
            0 as estimated_downloads, 0 as uncomparable_downloads
        from counted
    """)  # fmt: skip
    _insert(con, "fct_episode_daily", f"""
        select date, 'server_log' as source_class, show_id, {_EPISODE_ID} as episode_id,
            {_EPISODE_KEY} as episode_key, downloads * 3 as requests, downloads * 30000000 as served_bytes,
            downloads, {_RULES}, downloads as listeners, 0 as estimated_downloads, 0 as uncomparable_downloads
        from of_episodes
    """)  # fmt: skip
    _insert(con, "fct_episode_hourly", f"""
        select date, date + to_hours(cast((number + part * 7) % 24 as bigint)) as hour,
            'server_log' as source_class, show_id, episode_key, downloads, {_RULES}
        from ({_dealt(f"(select number, day, date, show_id, {_EPISODE_KEY} as episode_key, downloads "
                      f"from of_episodes where day >= {days - HOURLY_DAYS})", 3, "")})
    """)  # fmt: skip
    for dimension, most in VALUES.items():
        _insert(con, "fct_show_dimensions_daily", f"""
            select date, 'server_log' as source_class, show_id, '{dimension}' as dimension,
                '{dimension} ' || (number + part) % {2 * most} as value, downloads, {_RULES},
                downloads as listeners
            from ({_dealt("counted", most, "")})
        """)  # fmt: skip
    for reason, divisor in _REASONS.items():
        _insert(con, "fct_exclusions_daily", f"""
            select date, 'server_log' as source_class, 'cdn' as source, show_id, '{reason}' as reason,
                'bench' as rules_version, requests, {_REQUESTS}
            from (select *, downloads // {divisor} as requests from counted) where requests > 0
        """)  # fmt: skip


def empty_days(con: duckdb.DuckDBPyConnection, days: int, only: Iterable[int]) -> None:
    """Take the rows of these days out of the marts that are told by date."""
    dates = ", ".join(f"date '{first_date(days) + timedelta(days=day)}'" for day in only)
    for mart in BY_DATE:
        con.execute(f"delete from marts.{mart} where date in ({dates})")


def fill_shows(con: duckdb.DuckDBPyConnection, days: int) -> None:
    """Write the marts that are not told by date; after `fill_days`."""
    first, last = first_date(days), LAST
    con.execute(f"""
        create or replace temp table made as
        select number, {_SHOW_ID} as show_id, unnest(range(episodes)) as episode, episodes,
            total
        from (select number, sum(downloads) as total,
                ({days - 1} + {EPISODE_EVERY * EPISODES_EARLIER} - number % 7) // {EPISODE_EVERY} + 1
                    as episodes
            from bench.daily group by number)
    """)
    published = (
        f"timestamp '{first}' + to_days(cast(episode * {EPISODE_EVERY} + number % 7"
        f" - {EPISODE_EVERY * EPISODES_EARLIER} as integer)) + to_hours(5)"
    )
    _insert(con, "dim_episodes", f"""
        select {_EPISODE_KEY} as episode_key, {_EPISODE_ID} as episode_id, show_id,
            'Episode ' || episode || ' of ' || show_id as episode_title,
            'https://cdn.example/' || show_id || '/' || episode || '.mp3' as enclosure_url, 1 as enclosures,
            {published} as published_at, 28800000 as file_bytes, 1800.0 as duration_s,
            960000 as threshold_bytes, 'show' as threshold_source, true as is_in_catalog, 'feed' as origin
        from made
    """)  # fmt: skip
    _insert(con, "dim_shows", """
        select show_id, 'Title of ' || show_id as show_title, count(*) as episodes,
            min(published_at) as first_published_at, max(published_at) as last_published_at
        from marts.dim_episodes group by show_id
    """)  # fmt: skip
    _insert(con, "fct_episode_pacing", f"""
        select 'server_log' as source_class, show_id, episode_id, episode_key, published_at, age_days,
            of_age as downloads,
            case when published_at < timestamp '{first}' then 'published_before_data'
                when is_complete then 'complete' else 'age_not_reached' end as completeness, is_complete,
            of_age as show_median, 1.0 as ratio_to_show_median, 1 as rank_in_show
        from (select *, total // episodes * age_days // 100 + episode % 5 + 1 as of_age,
                published_at >= timestamp '{first}'
                    and published_at + to_days(age_days) <= timestamp '{last}' as is_complete
            from (select *, {_EPISODE_ID} as episode_id, {_EPISODE_KEY} as episode_key,
                    {published} as published_at, unnest({list(_AGES)}::integer[]) as age_days from made))
    """)  # fmt: skip
    _insert(con, "fct_show_pacing", """
        select source_class, show_id, age_days, count(*) filter (is_complete) as episodes,
            quantile_cont(downloads, 0.25) as p25_downloads, median(downloads) as median_downloads,
            quantile_cont(downloads, 0.75) as p75_downloads,
            count(*) filter (completeness = 'age_not_reached') as episodes_too_young,
            count(*) filter (completeness = 'published_before_data') as episodes_before_data,
            0 as episodes_without_date
        from marts.fct_episode_pacing group by source_class, show_id, age_days
    """)  # fmt: skip
    _fill_listeners(con)
    _insert(con, "fct_collaboration_lift", f"""
        select number // {SHOWS_A_COLLABORATION} + 1 as collaboration_id,
            printf('tenant-%03d', number // 100) as tenant, s.show_id, show_title,
            {_SHOW_ID.replace('number', '(number + 1)')} as partner_show_id, 'Partner' as partner_show_title,
            'promo_swap' as type, 'final' as state, timestamp '{last}' - interval 60 day as starts_at,
            timestamp '{last}' - interval 46 day as exposure_ends_at,
            timestamp '{last}' - interval 16 day as final_at, timestamp '{last}' as as_of, 700 as reach,
            550 as exposed, 0.1 as known_share, 33 as converted, 6.3 as organic, 35.7 as new_listeners,
            25.4 as new_listeners_low, 45.9 as new_listeners_high, false as is_insufficient,
            0.055 as conversion_rate, 4.2 as lift, 0.9 as theta, 0.27 as theta_se, 'history' as theta_source,
            5 as placebo_episodes, 25 as placebo_converts, 27.6 as placebo_expected, 2018 as pool_keys,
            12980 as history_keys, 0.05 as rate, 5.7 as se, 0.88 as linkability,
            'assumed' as linkability_source, 1.645 as k, 0 as k_triples, 1.1 as widening,
            false as is_calibrated, 0 as siblings, 0.0 as overlap_share, 200 as least_exposed,
            5.0 as least_events, true as has_look_back, false as is_recorded_afterwards,
            false as has_pre_trend, false as has_concurrent_spike, false as is_split,
            40.0 as gross_last_touch, 'pace-2' as model_version
        from (select distinct number, show_id from made where number % {SHOWS_A_COLLABORATION} = 0) as m
        join marts.dim_shows as s on s.show_id = m.show_id
    """)  # fmt: skip


def _fill_listeners(con: duckdb.DuckDBPyConnection) -> None:
    """By day, week, month and trailing days; nine listeners for ten downloads."""
    periods = {
        "day": ("date", "date"),
        "week": ("cast(date_trunc('week', date) as date)", "cast(date_trunc('week', date) as date) + 6"),
        "month": ("cast(date_trunc('month', date) as date)", "last_day(date)"),
    }
    for period, (start, end) in periods.items():
        _insert(con, "fct_show_listeners", _listeners(period, f"""
            select show_id, {start} as period_start, {end} as period_end, sum(downloads) as downloads
            from marts.fct_show_daily group by all
        """))  # fmt: skip
    for length in (7, 28):
        _insert(con, "fct_show_listeners", _listeners(f"trailing_{length}", f"""
            select show_id, date - {length - 1} as period_start, date as period_end,
                sum(downloads) over (partition by show_id order by date
                    rows between {length - 1} preceding and current row) as downloads
            from marts.fct_show_daily
        """))  # fmt: skip


def _listeners(period: str, counted: str) -> str:
    return f"""
        select '{period}' as period, period_start, period_end, true as is_complete,
            'server_log' as source_class, show_id, listeners, listeners // 4 as new_listeners,
            listeners - listeners // 4 as returning_listeners, 0 as uncomparable_listeners
        from (select *, cast(downloads * 9 // 10 + 1 as bigint) as listeners from ({counted}))
    """


_EPISODE = f", (day + {EPISODE_EVERY * EPISODES_EARLIER} - number % 7) // {EPISODE_EVERY} - part as episode"
_SHOW_ID = "cast(cast(md5('show-' || number) as uuid) as varchar)"  # as api_world.show_id
_EPISODE_ID = "printf('s%05d-e%04d', number, episode)"
_EPISODE_KEY = "number * 10000 + episode + 1"


def _dealt(source: str, most: int, more: str) -> str:
    """Rows of `source`, each as up to `most` rows with a `part` of its downloads; `more`: further columns."""
    rest = "coalesce(list_sum(list_transform(range(1, n), lambda i: downloads >> cast(i + 1 as bigint))), 0)"
    return f"""
        select * exclude (n, rest, downloads) {more},
            if(part = 0, downloads - rest, downloads >> cast(part + 1 as bigint)) as downloads
        from (select *, cast({rest} as bigint) as rest, unnest(range(n)) as part
            from (select *, greatest(1, least({most}, cast(floor(log2(downloads)) as bigint))) as n
                from {source}))
    """


def _insert(con: duckdb.DuckDBPyConnection, mart: str, sql: str) -> None:
    con.execute(f"insert into marts.{mart} by name {sql}").fetchall()
