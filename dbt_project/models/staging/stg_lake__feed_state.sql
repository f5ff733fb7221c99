{{ config(materialized='ephemeral') }}

with source as (

    select * from {{ source('lake', 'feed_state') }}

),

renamed as (

    select
        -- ids
        podcast_key,
        feed_url,
        sequence,

        -- last answers
        status,
        reason,
        detail,
        polls,
        failures,
        flaps,
        deltas,
        audits,
        mismatches,

        -- schedule
        tier,
        tier_reason,
        publications_us,

        -- times
        polled_us,
        fetched_us,
        changed_us,
        failing_since_us,
        next_due_us,
        hinted_us

    from source

)

select * from renamed
