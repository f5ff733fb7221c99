{#
  Dates whose daily marts are built again: those of the new files and of every request of a key whose counting
  restarts, since windows begin at requests. A superset of what changes, told by the lake alone: so a build that
  died half-way is simply done again.
#}
with new_files as (

    select
        day,
        is_restated
    from {{ ref('int_new_files') }}

),

-- A day of the lake is a UTC day; the dates of the marts may begin up to 14 hours earlier or later.
new_days as (

    select new_files.day + neighbours.days as day
    from new_files
    cross join (
        select 0 as days
        {% if time_zone() != 'UTC' %}
            union all
            select -1 as days
            union all
            select 1 as days
        {% endif %}
    ) as neighbours

),

recounted_days as (

    select date as day
    from {{ ref('int_recounted_requests') }}

),

-- Days that were judged again are rare, and requests may have left their keys: all days, then.
all_days as (

    select {{ explode('files.days') }} + neighbours.days as day
    from {{ ref('stg_lake__files') }} as files
    cross join (select -1 as days union all select 0 as days union all select 1 as days) as neighbours
    where files.status = 'taken' and exists (select 1 from new_files where new_files.is_restated)

),

changed as (

    select day from new_days
    union
    select day from recounted_days
    union
    select day from all_days

)

select cast(day as date) as day
from changed
