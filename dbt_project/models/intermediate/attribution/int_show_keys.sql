{#
  The shows that were downloaded, each with a number and the genre that its feed names first; null where no feed
  of it is tracked.
#}
with shows as (

    select * from {{ ref('dim_shows') }}

),

podcasts as (

    select
        show_id,
        min(categories) as categories
    from {{ ref('int_podcast_shows') }}
    where show_id is not null
    group by show_id

)

select
    shows.show_id,
    shows.show_title,
    {{ text_key('shows.show_id') }} as show_key,
    nullif(split_part(split_part(podcasts.categories, '; ', 1), ' > ', 1), '') as genre
from shows
left join podcasts
    on shows.show_id = podcasts.show_id
where shows.show_id is not null
