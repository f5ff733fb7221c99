{#
  Event days whose daily marts are built again: those of the new files, those of the counting that restarts,
  and, for windows that can push each other on, every later day.
#}
with restarts as (

    select distinct restart_date as day
    from {{ ref('int_window_restarts') }}

),

{% if window_rule() == 'calendar' %}

    later as (

        select day from restarts

    ),

{% else %}

    later as (

        select distinct cast({{ explode('files.days') }} as date) as day
        from {{ ref('stg_lake__files') }} as files
        where files.status = 'taken'

    ),

{% endif %}

changed as (

    select day from {{ ref('int_new_files') }}
    union
    select day from restarts
    union
    select day
    from later
    where day >= (select min(restarts.day) from restarts)

)

select day from changed
