with source as (

    select * from {{ source('lake', 'requests') }}

),

-- The ledger is the commit: rows of a killed run, or of a file held back by a blocking check, do not count.
taken as (

    select
        source,
        file_id,
        bool_and(coalesce(is_comparable, true)) as is_comparable,
        -- Later files may move the rank, never the order.
        row_number() over (order by source, file_id) as file_rank
    from {{ ref('stg_lake__files') }}
    where status = 'taken'
    group by source, file_id

),

renamed as (

    select
        -- ids
        source.source,
        source.source_class,
        source.rules_version,
        taken.is_comparable,
        source.file_id,
        source.line_number,
        taken.file_rank * {{ most_lines() }} + source.line_number as line_key,
        source.request_key,
        source.key_epoch,
        source.address_key,
        source.address_key_prev,
        source.listener_key,
        source.listener_key_prev,
        source.enclosure_key,

        -- request
        source.started_us,
        cast(source.day as date) as day,
        source.method,
        source.status,
        source.enclosure_url,
        source.range_start,
        source.served_bytes,
        source.resource_bytes,
        source.is_first_two,

        -- who
        source.agent,
        source.agent_type,
        source.app,
        source.device,
        source.device_category,
        source.os,
        source.referrer_host,
        source.referrer_app,
        source.country,
        source.asn,
        source.network_kind,

        -- judgement
        source.exclusion_reason

    from source
    inner join taken
        on source.source = taken.source and source.file_id = taken.file_id

)

select * from renamed
