{{ config(materialized='ephemeral') }}

with source as (

    select * from {{ source('lake', 'changes') }}

),

renamed as (

    select
        -- ids
        podcast_key,
        sequence,
        episode_key,
        guid,
        shard,
        generation,

        -- what changed
        change,
        is_minor,
        fields,
        record,

        -- times
        detected_us

    from source

)

select * from renamed
