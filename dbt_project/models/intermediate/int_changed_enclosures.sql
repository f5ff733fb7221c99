{% set counted = remembered('int_counted_enclosures') %}

with requested as (

    select
        enclosure_key,
        first_requested_us
    from {{ ref('int_requested_enclosures') }}

),

now as (

    select * from {{ ref('int_enclosures') }}
    where enclosure_key is not null

)

{% if counted is none or flags.FULL_REFRESH %}

    -- Nothing was counted under another catalogue.
    select
        now.enclosure_key,
        requested.first_requested_us,
        now.episode_key,
        now.episode_key as former_episode_key
    from now
    inner join requested
        on now.enclosure_key = requested.enclosure_key
    where 1 = 0

{% else %}

    -- What nobody asked for moves nothing.
    select
        requested.enclosure_key,
        requested.first_requested_us,
        coalesce(now.episode_key, former.enclosure_key) as episode_key,
        coalesce(former.episode_key, now.enclosure_key) as former_episode_key
    from now
    full outer join {{ counted }} as former
        on now.enclosure_key = former.enclosure_key
    inner join requested
        on coalesce(now.enclosure_key, former.enclosure_key) = requested.enclosure_key
    where
        now.episode_key is distinct from former.episode_key
        or now.show_id is distinct from former.show_id
        or now.episode_id is distinct from former.episode_id
        or now.published_us is distinct from former.published_us
        or now.file_bytes is distinct from former.file_bytes
        or now.header_bytes is distinct from former.header_bytes
        or now.threshold_bytes is distinct from former.threshold_bytes
        or now.threshold_source is distinct from former.threshold_source

{% endif %}
