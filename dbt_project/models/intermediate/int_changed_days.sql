{#
  Dates whose daily marts are built again: those of the new files and of every request of a key whose counting
  restarts, since windows begin at requests. A superset of what changes, told by the lake alone, or by windows of
  which a batch only makes more: so a build that died half-way is simply done again.
#}
{% set kept_us = first_kept_us() %}
-- depends_on: {{ ref('int_recounted_requests') }}, {{ ref('int_window_restarts') }}
{{ needed_at_once() }}
with new_files as (

    select
        day,
        is_restated
    from {{ ref('int_new_files') }}

),

files as (

    select
        status,
        days
    from {{ ref('stg_lake__files') }}

),

restated as (

    select count(*) as days
    from new_files
    where is_restated

),

-- Days that were judged again are rare, and requests may have left their keys: all days, then.
all_days as (

    select cast({{ explode('files.days') }} as date) as day
    from files
    cross join restated
    where files.status = 'taken' and restated.days > 0

),

recounted_days as (

    {% if counts_at_once() %}
        select date as day
        from ({{ recounted_dates(ref('int_window_restarts')) }}) as counted
    {% else %}
        select date as day
        from {{ ref('int_recounted_requests') }}
    {% endif %}

),

lake_days as (

    select day from new_files
    union
    select day from all_days

),

changed as (

    select day from recounted_days
    union
    select day from lake_days
    {% if time_zone() != 'UTC' %}
        -- A day of the lake is a UTC day: a date of the marts may begin the day before, or end the day after.
        union
        select day - 1 as day
        from lake_days
        union
        select day + 1 as day
        from lake_days
    {% endif %}

)

select cast(day as date) as day
from changed
{% if kept_us is not none %}
    -- A date that began before the lake does keeps the figures it has.
    where day {{ '>=' if time_zone() == 'UTC' else '>' }} {{ us_to_local_date(kept_us) }}
{% endif %}
