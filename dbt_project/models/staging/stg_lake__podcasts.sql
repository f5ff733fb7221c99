{{ config(materialized='ephemeral') }}

with source as (

    select * from {{ source('lake', 'podcasts') }}

),

renamed as (

    select
        -- ids
        podcast_key,
        feed_url,
        original_url,
        podcast_guid,
        guid_source,
        generation,

        -- what it is
        title,
        subtitle,
        link,
        language,
        copyright,
        generator,
        author,
        owner_name,
        owner_email,
        image_url,
        categories,
        is_explicit,
        show_type,
        is_blocked,
        is_complete,
        hub_url,
        medium,
        is_locked,
        license,
        update_frequency,
        uses_podping,

        -- numerics
        episode_count,

        -- times
        newest_us,
        oldest_us,
        changed_us

    from source

)

select * from renamed
