{#
  Which show of the marts each tracked podcast is: the one it was registered as, else the one whose enclosures its
  feed has most of (the operator's list may know it under another id); null where the marts know none.
#}
with podcasts as (

    select * from {{ ref('dim_podcasts') }}

),

shows as (

    select * from {{ ref('dim_shows') }}

),

counted as (

    select
        podcast_key,
        show_id,
        row_number() over (partition by podcast_key order by count(*) desc, show_id asc) as show_rank
    from {{ ref('int_catalog_enclosures') }}
    where podcast_key is not null and show_id is not null
    group by podcast_key, show_id

)

select
    podcasts.podcast_key,
    podcasts.categories,
    coalesce(shows.show_id, counted.show_id) as show_id
from podcasts
left join shows
    on podcasts.show_id = shows.show_id
left join counted
    on
        podcasts.podcast_key = counted.podcast_key
        and counted.show_rank = 1
