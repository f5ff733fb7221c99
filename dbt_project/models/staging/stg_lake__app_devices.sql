{{ config(materialized='ephemeral') }}

with source as (

    select * from {{ source('lake', 'app_devices') }}

),

renamed as (

    select
        -- ids
        install_key,
        key_epoch,
        address_key,
        address_key_prev,
        show_id,

        -- what played
        app,
        os,

        -- times
        started_us

    from source

)

select * from renamed
