{{ config(materialized='incremental', incremental_strategy='replace_days') }}

{% set days = date_literals('select day from ' ~ ref('int_changed_days')) %}

with requests as (

    select * from {{ ref('int_requests') }}
    {% if is_incremental() %}
        where day in ({{ days }})
    {% endif %}

),

windows as (

    select * from {{ ref('int_download_windows') }}
    {% if is_incremental() %}
        where date in ({{ days }})
    {% endif %}

),

by_reason as (

    select
        day as date,
        source_class,
        exclusion_reason as reason,
        count(*) as lines,
        count(distinct request_key) as requests
    from requests
    group by day, source_class, exclusion_reason

),

-- Requests that do not count by themselves.
request_level as (

    select
        date,
        source_class,
        reason,
        requests
    from by_reason
    where reason is not null

),

-- Requests that qualify, by what became of their window.
window_level as (

    select
        date,
        source_class,
        'below_threshold' as reason,
        sum(case when not is_counted then requests end) as requests
    from windows
    group by date, source_class
    union all
    select
        date,
        source_class,
        'duplicate' as reason,
        sum(case when is_counted then requests - 1 end) as requests
    from windows
    group by date, source_class

),

-- Log lines that came again: the same request, delivered twice. Not requests, hence named apart.
repeated as (

    select
        date,
        source_class,
        'redelivered_line' as reason,
        sum(lines - requests) as requests
    from by_reason
    group by date, source_class

),

reasons as (

    select * from request_level
    union all
    select * from window_level
    union all
    select * from repeated

)

select
    date,
    source_class,
    reason,
    cast(requests as bigint) as requests
from reasons
where requests > 0
