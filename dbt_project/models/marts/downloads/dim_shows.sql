with episodes as (

    select * from {{ ref('int_catalog_enclosures') }}

)

select
    show_id,
    min(show_title) as show_title,
    count(distinct episode_key) as episodes,
    min({{ us_to_timestamp('published_us') }}) as first_published_at,
    max({{ us_to_timestamp('published_us') }}) as last_published_at
from episodes
group by show_id
