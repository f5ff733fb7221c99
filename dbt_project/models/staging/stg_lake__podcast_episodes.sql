{{ config(materialized='ephemeral') }}

with source as (

    select * from {{ source('lake', 'podcast_episodes') }}

),

renamed as (

    select
        podcast_key,
        episode_key,
        guid,
        enclosure_urls,
        generation
    from source

)

select * from renamed
