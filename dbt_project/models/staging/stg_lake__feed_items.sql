{{ config(materialized='ephemeral') }}

with source as (

    select * from {{ source('lake', 'feed_items') }}

),

renamed as (

    select
        podcast_key,
        published_us,
        generation
    from source

)

select * from renamed
