{{ config(materialized='ephemeral') }}

with source as (

    select * from {{ source('lake', 'insertions') }}

),

renamed as (

    select
        -- ids
        collaboration_id,
        key_epoch,
        address_key,
        address_key_prev,

        -- who was served
        app,
        os,

        -- what
        is_held_out,

        -- times
        started_us

    from source

)

select * from renamed
