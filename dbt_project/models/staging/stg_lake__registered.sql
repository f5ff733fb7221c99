{{ config(materialized='ephemeral') }}

with source as (

    select * from {{ source('lake', 'registered') }}

),

renamed as (

    select
        -- ids
        podcast_key,
        show_id,
        podcast_guid,
        itunes_id,
        podcastindex_id,

        -- what was asked for
        feed_url,
        state,
        reason,
        tenants,
        labels,
        {{ holds('labels', "'customer'") }} as is_customer,
        {{ holds('labels', "'lead'") }} as is_lead,

        -- times
        since_us

    from source

)

select * from renamed
