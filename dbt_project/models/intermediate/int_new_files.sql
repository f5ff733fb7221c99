{#
  What this build must count: the files the last complete one had not counted, and those with requests on days
  that were judged again since. Under other settings than the last build, complete or killed, that is all of
  them, as if every day had been judged again.
#}
{% set counted = remembered('int_counted_files') %}
{% set counted_days = remembered('int_counted_restatements') %}
{% set is_other = counted is not none and is_under_other_settings() %}

with files as (

    select
        source,
        file_id,
        cast({{ explode('days') }} as date) as day
    from {{ ref('stg_lake__files') }}
    where status = 'taken' {% if flags.FULL_REFRESH %}and 1 = 0{% endif %}

),

restated as (

    select restated.day
    from {{ ref('stg_lake__restated') }} as restated
    {% if counted_days is not none %}
        left join {{ counted_days }} as counted_days
            on restated.day = counted_days.day and restated.restated_us = counted_days.restated_us
        where counted_days.day is null
    {% endif %}

)

select
    files.source,
    files.file_id,
    files.day,
    {% if counted is none %}false{% elif is_other %}true{% else %}bool_or(restated.day is not null){% endif %}
        as is_restated
from files
left join restated -- noqa: ST11
    on files.day = restated.day
{% if counted is not none and not is_other %}
    left join {{ counted }} as counted
        on files.source = counted.source and files.file_id = counted.file_id
    where counted.file_id is null or restated.day is not null
{% endif %}
group by files.source, files.file_id, files.day
