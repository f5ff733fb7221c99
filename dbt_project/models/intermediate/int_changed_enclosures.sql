{% set counted = remembered('int_counted_enclosures') %}

{% if counted is none or flags.FULL_REFRESH %}

    -- Nothing was counted under another catalogue.
    select
        enclosure_key,
        episode_key,
        episode_key as former_episode_key
    from {{ ref('int_enclosures') }}
    where 1 = 0

{% else %}

    select
        coalesce(now.enclosure_key, former.enclosure_key) as enclosure_key,
        coalesce(now.episode_key, former.enclosure_key) as episode_key,
        coalesce(former.episode_key, now.enclosure_key) as former_episode_key
    from {{ ref('int_enclosures') }} as now
    full outer join {{ counted }} as former
        on now.enclosure_key = former.enclosure_key
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
