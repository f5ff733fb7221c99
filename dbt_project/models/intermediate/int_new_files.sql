{% set counted = remembered('int_counted_files') %}

with files as (

    select
        source,
        file_id,
        {{ explode('days') }} as day
    from {{ ref('stg_lake__files') }}
    where status = 'taken' {% if flags.FULL_REFRESH %}and 1 = 0{% endif %}

)

select distinct
    files.source,
    files.file_id,
    cast(files.day as date) as day
from files
{% if counted is not none %}
    left join {{ counted }} as counted
        on
            files.source = counted.source
            and files.file_id = counted.file_id
            -- Another window rule makes every file new again.
            and counted.window_rule = '{{ window_rule() }}'
    where counted.file_id is null
{% endif %}
