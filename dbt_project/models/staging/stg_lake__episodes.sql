{# A table: every model of one build sees the same catalogue, whatever lands meanwhile. #}
{{ config(materialized='table') }}

with source as (

    select * from {{ source('lake', 'catalog_episodes') }}

),

renamed as (

    select
        -- ids
        show_id,
        episode_id,
        episode_key,
        enclosure_key,
        enclosure_url,

        -- titles
        show_title,
        episode_title,

        -- numerics
        file_bytes,
        duration_s,
        id3_bytes,

        -- times
        published_us

    from source

)

select * from renamed
