{{ config(materialized='ephemeral') }}

with source as (

    select * from {{ source('lake', 'collaborations') }}

),

renamed as (

    select
        -- ids
        collaboration_id,
        tenant,
        podcast_key,
        partner_key,
        partner_guid,
        episode_key,

        -- what it is
        type,
        state,
        notes,
        currency,

        -- numerics
        cost,

        -- times
        starts_us,
        ends_us,
        created_us

    from source

)

select * from renamed
