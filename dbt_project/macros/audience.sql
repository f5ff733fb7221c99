{#
  Distinct listeners (R26) of an entity by day, ISO week, month and trailing days: exact, in one pass over its
  listener-days. Each knows the listener's day before and after. It is the first one of its week or month when
  the day before lies in an earlier one; a stretch of dates whose trailing N days hold the listener opens (and
  closes) where the pause before (and after) is longer than N days. So a trailing count is a running sum of
  stretches opened less stretches closed, and no listener is looked at once a date.

  `entity`: the columns that name it, show_id among them. A new listener's first download of the show lies in
  the period.
#}
{% macro listeners_by_period(entity) %}
{% set trailing = [7, 28] %}
{% set who = ['listeners', 'new_listeners', 'uncomparable_listeners'] %}
{% set keys = ['source_class'] + entity %}
{% set entity_columns %}
        source_class,
        {% for column in entity %}
        {{ column }},
        {% endfor %}
{%- endset %}

with downloads as (

    select * from {{ ref('fct_downloads') }}
    where downloads = 1 and {{ is_keyed() }}

),

data_ends as (

    select * from {{ ref('int_data_ends') }}

),

{# A unit test has no warehouse of its own to remember by. #}
{% set firsts = remembered('int_first_downloads') if this else none %}
show_listeners as (

    select
        source_class,
        show_id,
        listener_key,
        min(first_date) as first_date,
        min(comparable) as only_comparable
    from (
        select
            source_class,
            show_id,
            listener_key,
            date as first_date,
            case when is_comparable then 1 else 0 end as comparable
        from downloads
        {% if firsts is not none %}
            -- Of listeners who are still heard of, also from before the days whose keys are kept.
            union all
            select
                source_class,
                show_id,
                listener_key,
                first_date,
                1 as comparable
            from {{ firsts }}
        {% endif %}
    ) as days
    group by source_class, show_id, listener_key

),

listener_days as (

    select distinct
        {{ entity_columns }}
        listener_key,
        date
    from downloads

),

neighbours as (

    select
        *,
        lag(date) over (partition by listener_key, {{ keys | join(', ') }} order by date) as former_date,
        lead(date) over (partition by listener_key, {{ keys | join(', ') }} order by date) as next_date
    from listener_days

),

seen as (

    select
        neighbours.*,
        show_listeners.first_date,
        show_listeners.only_comparable = 0 as is_uncomparable,
        {% for grain in ['week', 'month'] %}
        coalesce(
            neighbours.former_date < {{ first_day('neighbours.date', grain) }}, true
        ) as is_first_of_{{ grain }},
        {% endfor %}
        {% for days in trailing %}
        coalesce(neighbours.former_date + {{ days }} < neighbours.date, true) as opens_{{ days }},
        coalesce(neighbours.date + {{ days }} < neighbours.next_date, true) as closes_{{ days }},
        neighbours.former_date is null
        and neighbours.date < show_listeners.first_date + {{ days }} as opens_new_{{ days }}
        {%- if not loop.last %},{% endif %}
        {% endfor %}
    from neighbours
    inner join show_listeners
        on
            neighbours.source_class = show_listeners.source_class
            and neighbours.show_id is not distinct from show_listeners.show_id
            and neighbours.listener_key = show_listeners.listener_key

),

daily as (

    select
        {{ entity_columns }}
        date,
        {{ first_day('date', 'week') }} as week,
        {{ first_day('date', 'month') }} as month,
        count(*) as day_listeners,
        count(case when first_date = date then 1 end) as day_new_listeners,
        count(case when is_uncomparable then 1 end) as day_uncomparable_listeners,
        {% for grain in ['week', 'month'] %}
        count(case when is_first_of_{{ grain }} then 1 end) as {{ grain }}_listeners,
        count(
            case when is_first_of_{{ grain }} and first_date >= {{ first_day('date', grain) }} then 1 end
        ) as {{ grain }}_new_listeners,
        count(case when is_first_of_{{ grain }} and is_uncomparable then 1 end) as {{ grain }}_uncomparable_listeners,
        {% endfor %}
        {% for days in trailing %}
        count(case when opens_{{ days }} then 1 end) as opens_{{ days }},
        count(case when closes_{{ days }} then 1 end) as closes_{{ days }},
        count(case when opens_new_{{ days }} then 1 end) as opens_new_{{ days }},
        count(case when opens_{{ days }} and is_uncomparable then 1 end) as opens_uncomparable_{{ days }},
        count(case when closes_{{ days }} and is_uncomparable then 1 end) as closes_uncomparable_{{ days }}
        {%- if not loop.last %},{% endif %}
        {% endfor %}
    from seen
    group by {{ keys | join(', ') }}, date

),

-- A listener stops being new N days after its first download of the show, whatever it downloads.
grown_old as (

    select
        {{ entity_columns }}
        first_date,
        {% for days in trailing %}
        count(case when opens_new_{{ days }} then 1 end) as closes_new_{{ days }}
        {%- if not loop.last %},{% endif %}
        {% endfor %}
    from seen
    where former_date is null
    group by {{ keys | join(', ') }}, first_date

),

calendar as (

    {% for grain in ['day', 'week', 'month'] %}
    {% set start = 'date' if grain == 'day' else grain %}
    select
        '{{ grain }}' as period,
        {{ start }} as period_start,
        {{ {'day': 'date', 'week': 'week + 6', 'month': 'last_day(month)'}[grain] }} as period_end,
        {{ entity_columns }}
        {% for measure in who %}
        sum({{ grain }}_{{ measure }}) as {{ measure }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from daily
    group by {{ start }}, {{ keys | join(', ') }}
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

changes as (

    {% for days in trailing %}
    select
        {{ days }} as days,
        {{ entity_columns }}
        date,
        opens_{{ days }} as listeners,
        opens_new_{{ days }} as new_listeners,
        opens_uncomparable_{{ days }} as uncomparable_listeners
    from daily
    union all
    select
        {{ days }} as days,
        {{ entity_columns }}
        date + {{ days }} as date,
        -closes_{{ days }} as listeners,
        0 as new_listeners,
        -closes_uncomparable_{{ days }} as uncomparable_listeners
    from daily
    union all
    select
        {{ days }} as days,
        {{ entity_columns }}
        first_date + {{ days }} as date,
        0 as listeners,
        -closes_new_{{ days }} as new_listeners,
        0 as uncomparable_listeners
    from grown_old
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

changes_by_date as (

    select
        days,
        {{ entity_columns }}
        date,
        {% for measure in who %}
        sum({{ measure }}) as {{ measure }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from changes
    group by days, {{ keys | join(', ') }}, date

),

-- Between two changes a trailing count stays the same.
levels as (

    select
        days,
        {{ entity_columns }}
        date as from_date,
        lead(date) over (partition by {{ keys | join(', ') }}, days order by date) as to_date,
        {% for measure in who %}
        sum({{ measure }}) over (
            partition by {{ keys | join(', ') }}, days order by date
            rows between unbounded preceding and current row
        ) as {{ measure }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from changes_by_date

),

trailing_dates as (

    select
        levels.*,
        {{ each_date('levels.from_date', 'least(coalesce(levels.to_date - 1, data_ends.last_date), data_ends.last_date)') }} as period_end
    from levels
    inner join data_ends
        on levels.source_class = data_ends.source_class
    where levels.listeners > 0 and levels.from_date <= data_ends.last_date

),

periods as (

    select * from calendar
    union all
    select
        concat('trailing_', cast(days as varchar)) as period,
        period_end - days + 1 as period_start,
        period_end,
        {{ entity_columns }}
        {% for measure in who %}
        {{ measure }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from trailing_dates

)

select
    periods.period,
    periods.period_start,
    periods.period_end,
    periods.period_start >= data_ends.first_date
    and periods.period_end < data_ends.last_date as is_complete,
    {% for column in keys %}
    periods.{{ column }},
    {% endfor %}
    cast(periods.listeners as bigint) as listeners,
    -- Enclosures outside the catalogue have no show to be new to.
    cast(case when periods.show_id is not null then periods.new_listeners end as bigint) as new_listeners,
    cast(
        case when periods.show_id is not null then periods.listeners - periods.new_listeners end as bigint
    ) as returning_listeners,
    cast(periods.uncomparable_listeners as bigint) as uncomparable_listeners
from periods
inner join data_ends
    on periods.source_class = data_ends.source_class
{% endmacro %}
