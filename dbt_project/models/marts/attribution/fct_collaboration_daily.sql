{#
  Each collaboration's course: devices exposed and new listeners so far, against those that were to come anyway. What
  is organic comes evenly over the 30 days after exposure, more of it to strata that take up A more readily; on the
  last day it is the organic figure of fct_collaboration_lift. Exposure is taken to begin at noon.
#}
with collaborations as (

    select * from {{ ref('fct_collaboration_lift') }}
    where organic is not null

),

days as (

    select * from {{ ref('int_cohort_days') }}

),

calendar as (

    select
        collaboration_id,
        organic,
        {{ each_date('cast(starts_at as date)', 'cast(least(final_at, as_of) as date)') }} as date
    from collaborations

),

pool as (

    select * from {{ ref('int_cohort_rates') }}
    where cohort = 'contemporaneous'

),

pooled as (

    select
        target_id,
        sum(converts) / nullif({{ exact_sum('followed', 30) }}, 0) as rate
    from pool
    group by target_id

),

entries as (

    select
        days.target_id,
        days.date,
        sum(days.exposed) as exposed,
        sum(days.converted) as converted,
        {{ exact_sum(
            'days.exposed * coalesce(pool.converts / nullif(pool.followed, 0), pooled.rate, 0)', 30
        ) }} as expected
    from days
    left join pool
        on days.target_id = pool.target_id and days.stratum = pool.stratum
    left join pooled
        on days.target_id = pooled.target_id
    group by days.target_id, days.date

),

courses as (

    select
        calendar.collaboration_id,
        calendar.date,
        calendar.organic,
        sum(entries.exposed) as exposed,
        sum(entries.converted) as converted,
        {{ exact_sum(
            'entries.expected * least(30.0, ('
            ~ date_to_us('calendar.date') ~ ' - ' ~ date_to_us('entries.date')
            ~ ') / ' ~ days_us(1) ~ '.0 + 0.5)', 30
        ) }} as expected
    from calendar
    inner join entries
        on
            calendar.collaboration_id = entries.target_id
            and calendar.date >= entries.date
    group by calendar.collaboration_id, calendar.date, calendar.organic

),

scaled as (

    select
        *,
        organic * expected
        / nullif(max(expected) over (partition by collaboration_id), 0) as organic_so_far
    from courses

)

select
    collaboration_id,
    date,
    cast(exposed as bigint) as exposed,
    cast(converted as bigint) as converted,
    coalesce(organic_so_far, 0.0) as organic,
    converted - coalesce(organic_so_far, 0.0) as excess
from scaled
