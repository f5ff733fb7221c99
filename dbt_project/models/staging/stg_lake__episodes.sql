{{ config(materialized='ephemeral') }}

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

        -- times
        published_us,

        -- numerics; feeds write 0 for "unknown", and a header that fills the file is none
        case when file_bytes > 0 then file_bytes end as file_bytes,
        case when duration_s > 0 then duration_s end as duration_s,
        case
            when id3_bytes >= 0 and id3_bytes < coalesce(nullif(file_bytes, 0), id3_bytes + 1) then id3_bytes
        end as id3_bytes

    from source

)

select * from renamed
