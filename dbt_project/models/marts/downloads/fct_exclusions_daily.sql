{{ config(materialized='incremental', incremental_strategy='replace_days') }}

{% set days = date_literals('select day from ' ~ ref('int_changed_days')) %}
{% set lake_days = date_literals(
    'select distinct cast(day + days.days as date) from ' ~ ref('int_changed_days')
    ~ ' cross join (select -1 as days union all select 0 as days union all select 1 as days) as days'
) %}

with requests as (

    select * from {{ ref('int_requests') }}
    {% if is_incremental() %}
        where day in ({{ days if time_zone() == 'UTC' else lake_days }}) and date in ({{ days }})
    {% endif %}

),

windows as (

    select * from {{ ref('int_download_windows') }}
    {% if is_incremental() %}
        where date in ({{ days }})
    {% endif %}

),

by_version as (

    select
        date,
        source_class,
        source,
        show_id,
        exclusion_reason as reason,
        rules_version,
        count(*) as lines,
        count(distinct request_key) as requests
    from requests
    where exclusion_reason is not null
    group by date, source_class, source, show_id, exclusion_reason, rules_version

),

-- A request that qualifies is one request, whatever the versions under which it was delivered again.
qualifying as (

    select
        date,
        source_class,
        source,
        show_id,
        min(rules_version) as rules_version,
        count(*) as lines,
        count(distinct request_key) as requests
    from requests
    where exclusion_reason is null
    group by date, source_class, source, show_id

),

-- Requests that do not count by themselves: whatever the window rule.
request_level as (

    select
        date,
        source_class,
        source,
        show_id,
        reason,
        rules_version,
        requests,
        {% for rule in window_rules().split() %}
            requests as requests_{{ rule }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from by_version

),

-- Requests that qualify, by what became of their window.
window_level as (

    select
        date,
        source_class,
        source,
        show_id,
        rules_version,
        case when is_counted then 'duplicate' else 'below_threshold' end as reason,
        -- The first request of a download is the download.
        case when is_counted then requests - 1 else requests end as left_out,
        {% for rule in window_rules().split() %}
            is_{{ rule }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from windows

),

by_window as (

    select
        date,
        source_class,
        source,
        show_id,
        reason,
        rules_version,
        sum(case when {{ published() }} then left_out else 0 end) as requests,
        {% for rule in window_rules().split() %}
            sum(case when is_{{ rule }} then left_out else 0 end) as requests_{{ rule }}
            {%- if not loop.last %},{% endif %}
        {% endfor %}
    from window_level
    group by date, source_class, source, show_id, reason, rules_version

),

-- Log lines that came again: the same request, delivered twice. Not requests, hence named apart.
repeated as (

    select
        date,
        source_class,
        source,
        show_id,
        rules_version,
        lines - requests as requests
    from by_version
    union all
    select
        date,
        source_class,
        source,
        show_id,
        rules_version,
        lines - requests as requests
    from qualifying

),

redelivered as (

    select
        date,
        source_class,
        source,
        show_id,
        'redelivered_line' as reason,
        rules_version,
        sum(requests) as requests,
        {% for rule in window_rules().split() %}
            sum(requests) as requests_{{ rule }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from repeated
    group by date, source_class, source, show_id, rules_version

),

reasons as (

    select * from request_level
    union all
    select * from by_window
    union all
    select * from redelivered

)

select
    date,
    source_class,
    source,
    show_id,
    reason,
    rules_version,
    cast(requests as bigint) as requests,
    {% for rule in window_rules().split() %}
        cast(requests_{{ rule }} as bigint) as requests_{{ rule }}{% if not loop.last %},{% endif %}
    {% endfor %}
from reasons
where
    requests > 0
    {% for rule in window_rules().split() %}
        or requests_{{ rule }} > 0
    {% endfor %}
