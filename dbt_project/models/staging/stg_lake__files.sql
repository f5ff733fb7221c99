{# A table: every model of one build sees the same files, whatever lands meanwhile. #}
{{ config(materialized='table') }}
{#
  `earshot rebuild` counts a long history in steps: as if no later file had arrived yet. In which batches files
  come is no matter, so the last step, which takes all, ends with the marts of a build in one piece. A file is of
  the day it ends on: one late line is enough for a file to begin days before.
#}
{% set before_us = env_var('EARSHOT_COUNT_BEFORE_US', '') %}

with source as (

    select * from {{ source('lake', 'files') }}
    {% if before_us %}where last_us < {{ before_us | int }}{% endif %}

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
