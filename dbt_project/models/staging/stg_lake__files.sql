{# A table: every model of one build sees the same files, whatever lands meanwhile. #}
{{ config(materialized='table') }}

with source as (

    select * from {{ source('lake', 'files') }}

),

renamed as (

    select
        -- ids
        source,
        file_id,
        file_name,
        source_class,
        format,

        -- what became of it
        status,
        reason,
        is_truncated,
        is_comparable,

        -- numerics
        size_bytes,
        lines,
        directives,
        requests,
        rejects,

        -- times
        first_us,
        last_us,
        days,
        taken_in_us

    from source

)

select * from renamed
