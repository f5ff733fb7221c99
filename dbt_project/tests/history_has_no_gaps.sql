-- The versions of a podcast follow one another, and the newest alone is current.
with placed as (

    select
        podcast_key,
        valid_to,
        is_current,
        lead(valid_from) over (partition by podcast_key order by valid_from) as next_from
    from {{ ref('dim_podcasts_history') }}

)

select *
from placed
where valid_to is distinct from next_from or is_current <> (next_from is null)
