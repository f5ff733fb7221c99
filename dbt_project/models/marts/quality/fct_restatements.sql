{#
  What each restatement changed: the figures before it against those of the first build after it, which are kept,
  so that what arrives later is not told as its effect. Of restatements that no build lay between, the earlier
  one's are those before the later. What was published stands in the lake: marts built anew take it from there.
#}
{{ config(materialized='incremental', incremental_strategy='append') }}

with published_once as (

    select told.*
    from {{ ref('stg_lake__restatements_told') }} as told

),

-- Restatements that are not to be compared any more.
told as (

    select distinct {{ us_to_timestamp('restated_us') }} as restated_at
    from published_once
    {% if is_incremental() %}
        union
        select distinct restated_at
        from {{ this }}
    {% endif %}

),

former as (

    select former.*
    from {{ ref('stg_lake__restatements') }} as former
    inner join {{ ref('stg_lake__finished_restatements') }} as finished
        on former.restated_us = finished.restated_us
    left join told
        on {{ us_to_timestamp('former.restated_us') }} = told.restated_at
    where told.restated_at is null

),

taken_up as (

    select published_once.*
    from published_once
    {% if is_incremental() %}
        left join (select distinct restated_at from {{ this }}) as here -- noqa: ST05
            on {{ us_to_timestamp('published_once.restated_us') }} = here.restated_at
        where here.restated_at is null
    {% endif %}

),

present as (

    select
        date,
        source_class,
        show_id,
        cast(null as varchar) as reason,
        downloads as published,
        downloads_calendar as calendar,
        downloads_first_touch as first_touch,
        downloads_last_touch as last_touch
    from {{ ref('fct_show_daily') }}
    union all
    select
        date,
        source_class,
        show_id,
        reason,
        sum(requests) as published,
        sum(requests_calendar) as calendar,
        sum(requests_first_touch) as first_touch,
        sum(requests_last_touch) as last_touch
    from {{ ref('fct_exclusions_daily') }}
    group by date, source_class, show_id, reason

),

-- Which dates each restatement remembers; a figure it does not name was 0 then.
covered as (

    select
        restated_us,
        date,
        min(first_day) as first_day,
        min(last_day) as last_day,
        min(rules_version) as rules_version
    from former
    group by restated_us, date

),

followed as (

    select
        *,
        lead(restated_us) over (
            partition by date
            order by restated_us
        ) as next_us
    from covered

),

latest_dates as (

    select * from followed
    where next_us is null

),

-- Everything that was there before a restatement, after it, or both.
named as (

    select
        restated_us,
        date,
        source_class,
        show_id,
        reason
    from former
    union
    select
        followed.restated_us,
        later.date,
        later.source_class,
        later.show_id,
        later.reason
    from followed
    inner join former as later
        on followed.next_us = later.restated_us and followed.date = later.date
    union
    select
        latest_dates.restated_us,
        present.date,
        present.source_class,
        present.show_id,
        present.reason
    from latest_dates
    inner join present
        on latest_dates.date = present.date

),

compared as (

    select
        named.restated_us,
        followed.first_day,
        followed.last_day,
        followed.rules_version,
        named.date,
        named.source_class,
        named.show_id,
        named.reason,
        {% for measure in ['published'] + window_rules().split() %}
            coalesce(former.{{ measure }}, 0) as former_{{ measure }},
            coalesce(
                case when followed.next_us is null then present.{{ measure }} else later.{{ measure }} end, 0
            ) as restated_{{ measure }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from named
    inner join followed
        on named.restated_us = followed.restated_us and named.date = followed.date
    left join former
        on
            named.restated_us = former.restated_us
            and {{ same_figure('named', 'former') }}
    left join former as later
        on
            followed.next_us = later.restated_us
            and {{ same_figure('named', 'later') }}
    left join present
        on {{ same_figure('named', 'present') }}

)

select
    {{ us_to_timestamp('restated_us') }} as restated_at,
    first_day,
    last_day,
    rules_version,
    date,
    source_class,
    show_id,
    reason,
    {% for measure in ['published'] + window_rules().split() %}
        cast(former_{{ measure }} as bigint) as former_{{ measure }},
        cast(restated_{{ measure }} as bigint) as restated_{{ measure }}{% if not loop.last %},{% endif %}
    {% endfor %}
from compared
-- The restated days whole, so that sums over them are what was published; around them what changed.
where
    date between first_day and last_day
    {% for measure in ['published'] + window_rules().split() %}
        or former_{{ measure }} <> restated_{{ measure }}
    {% endfor %}
union all
select
    {{ us_to_timestamp('restated_us') }} as restated_at,
    first_day,
    last_day,
    rules_version,
    date,
    source_class,
    show_id,
    reason,
    {% for measure in ['published'] + window_rules().split() %}
        former_{{ measure }},
        restated_{{ measure }}{% if not loop.last %},{% endif %}
    {% endfor %}
from taken_up
