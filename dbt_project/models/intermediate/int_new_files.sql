{#
  What this build must count: the files the last complete one had not counted, and those with requests on days
  that were judged again since.
#}
{% set counted = remembered('int_counted_files') %}
{% set counted_days = remembered('int_counted_restatements') %}

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
    {% if counted is none %}false{% else %}bool_or(counted.file_id is not null){% endif %} as is_restated
from files
left join restated
    on files.day = restated.day
{% if counted is not none %}
    left join {{ counted }} as counted
        on
            files.source = counted.source
            and files.file_id = counted.file_id
            -- Other settings make every file new again.
            and counted.counted_under = '{{ counted_under() }}'
    where counted.file_id is null or restated.day is not null
{% endif %}
group by files.source, files.file_id, files.day
