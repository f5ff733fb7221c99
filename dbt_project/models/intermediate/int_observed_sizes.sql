{#
  The size of an enclosure as servers told it (Content-Range, or the length of a whole answer): evidence where
  the catalogue has none (R13). The largest seen, which only grows: so a build repeats without effect.
#}
{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='enclosure_key',
) }}
-- depends_on: {{ ref('int_new_files') }}

with requests as (

    select
        enclosure_key,
        source,
        file_id,
        day,
        resource_bytes
    from {{ ref('stg_lake__requests') }}
    where resource_bytes > 0

),

{% if is_incremental() %}

    new_files as (

        select distinct
            source,
            file_id
        from {{ ref('int_new_files') }}

    ),

    new_requests as (

        select requests.*
        from requests
        inner join new_files
            on requests.source = new_files.source and requests.file_id = new_files.file_id
        where
            requests.day in ({{ date_literals('select distinct day from ' ~ ref('int_new_files')) }})
            and {{ may_be_new('requests.file_id') }}

    ),

    observed as (

        select
            enclosure_key,
            max(resource_bytes) as file_bytes
        from new_requests
        group by enclosure_key

    )

    select
        observed.enclosure_key,
        observed.file_bytes
    from observed
    left join {{ this }} as known
        on observed.enclosure_key = known.enclosure_key
    where known.file_bytes is null or known.file_bytes < observed.file_bytes

{% else %}

    observed as (

        select
            enclosure_key,
            max(resource_bytes) as file_bytes
        from requests
        group by enclosure_key

    )

    select
        enclosure_key,
        file_bytes
    from observed

{% endif %}
