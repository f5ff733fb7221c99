{#
  Placebo triples: an episode of a show B in which nobody promoted A, at a time when all of history and follow-up
  can be seen. What PACE finds there is chance: it calibrates the interval (ATTRIBUTION §2.10). Drawn by hash among
  the largest shows, so the draw changes little from day to day, and a triple that was measured is not again.
#}
with days as (

    select
        min(date) as first_date,
        max(date) as last_date
    from {{ ref('int_device_days') }}

),

collaborations as (

    select * from {{ ref('int_recorded_collaborations') }}

),

any_collaboration as (

    select count(*) as collaborations from collaborations

),

sizes as (

    select
        downloads.show_key,
        count(*) as downloads
    from {{ ref('int_device_downloads') }} as downloads
    cross join any_collaboration
    where downloads.show_key is not null and any_collaboration.collaborations > 0
    group by downloads.show_key

),

largest as (

    select
        shows.show_id,
        shows.show_key
    from sizes
    inner join {{ ref('int_show_keys') }} as shows
        on sizes.show_key = shows.show_key
    order by sizes.downloads desc, sizes.show_key asc
    limit {{ placebo_shows() }}

),

aired as (

    select
        enclosures.show_id,
        enclosures.episode_id,
        enclosures.episode_key,
        min(enclosures.published_us) as published_us
    from {{ ref('int_catalog_enclosures') }} as enclosures
    group by enclosures.show_id, enclosures.episode_id, enclosures.episode_key

),

usable as (

    select
        aired.show_id,
        aired.episode_id,
        aired.episode_key,
        aired.published_us
    from aired
    cross join days
    where
        aired.published_us
        >= {{ date_to_us('days.first_date') }} + {{ history_from_us() }} + {{ look_back_us() }}
        and aired.published_us
        <= {{ date_to_us('days.last_date') }} - {{ exposure_us() }} - {{ follow_up_us() }}

),

drawn as (

    select
        shows.show_id,
        shows.show_key,
        partners.show_id as partner_show_id,
        partners.show_key as partner_show_key,
        usable.episode_id,
        usable.episode_key,
        usable.published_us,
        {{ text_key("concat(cast(usable.episode_key as varchar), ' ', shows.show_id)") }} as triple_key
    from usable
    inner join largest as partners
        on usable.show_id = partners.show_id
    inner join largest as shows
        on partners.show_key <> shows.show_key

),

-- Nothing of A near, so that no effect reaches into its windows.
clear as (

    select drawn.*
    from drawn
    left join collaborations
        on
            drawn.show_key = collaborations.show_key
            and abs(drawn.published_us - collaborations.starts_us)
            <= {{ history_from_us() }} + {{ exposure_us() }}
    where collaborations.collaboration_id is null

)

select
    -triple_key - 1 as target_id,
    show_id,
    partner_show_id,
    show_key,
    partner_show_key,
    episode_id,
    episode_key,
    published_us as starts_us,
    published_us + {{ exposure_us() }} as exposure_ends_us
from clear
order by triple_key
limit {{ placebo_triples() }}
