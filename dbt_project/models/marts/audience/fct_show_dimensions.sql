{{ config(materialized='incremental', incremental_strategy='kept_periods') }}

{#
  Months, and the 28 days that end with the last date of the data and with the one before, which is over. A
  listener who changes between two values within the period is one of both.
#}
with downloads as (

    select * from {{ ref('fct_downloads') }}
    where downloads = 1 and {{ is_keyed() }}

),

data_ends as (

    select * from {{ ref('int_data_ends') }}

),

last_days as (

    select
        source_class,
        last_date as period_end
    from data_ends
    union all
    select
        source_class,
        last_date - 1 as period_end
    from data_ends

),

by_value as (

    {% for dimension in ['app', 'device_category', 'country'] %}
        select
            'month' as period,
            {{ first_day('date', 'month') }} as period_start,
            last_day(date) as period_end,
            source_class,
            show_id,
            '{{ dimension }}' as dimension,
            coalesce({{ dimension }}, 'unknown') as value,
            count(*) as downloads,
            count(distinct listener_key) as listeners
        from downloads
        group by
            {{ first_day('date', 'month') }}, last_day(date), source_class, show_id,
            coalesce({{ dimension }}, 'unknown')
        union all
        select
            'trailing_28' as period,
            last_days.period_end - 27 as period_start,
            last_days.period_end,
            downloads.source_class,
            downloads.show_id,
            '{{ dimension }}' as dimension,
            coalesce(downloads.{{ dimension }}, 'unknown') as value,
            count(*) as downloads,
            count(distinct downloads.listener_key) as listeners
        from downloads
        inner join last_days
            on
                downloads.source_class = last_days.source_class
                and downloads.date >= last_days.period_end - 27
                and downloads.date <= last_days.period_end
        group by
            last_days.period_end, downloads.source_class, downloads.show_id,
            coalesce(downloads.{{ dimension }}, 'unknown')
        {% if not loop.last %}union all{% endif %}
    {% endfor %}

)

select
    by_value.period,
    by_value.period_start,
    by_value.period_end,
    by_value.source_class,
    by_value.show_id,
    by_value.dimension,
    by_value.value,
    by_value.downloads,
    by_value.listeners,
    by_value.period_start >= data_ends.first_date
    and by_value.period_end < data_ends.last_date as is_complete
from by_value
inner join data_ends
    on by_value.source_class = data_ends.source_class
