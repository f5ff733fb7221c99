{#
  The enclosures that were asked for: their URL, since when, and their size as servers told it (Content-Range, or
  the length of a whole answer), which is evidence where the catalogue has none (R13): the largest seen. Sizes
  only grow and beginnings only move back, so a build repeats without effect.
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
        enclosure_url,
        source,
        file_id,
        day,
        started_us,
        case when resource_bytes > 0 then resource_bytes end as resource_bytes
    from {{ ref('stg_lake__requests') }}

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

    requested as (

        select
            enclosure_key,
            min(enclosure_url) as enclosure_url,
            max(resource_bytes) as file_bytes,
            min(started_us) as first_requested_us
        from new_requests
        group by enclosure_key

    )

    select
        requested.enclosure_key,
        requested.enclosure_url,
        greatest(requested.file_bytes, known.file_bytes) as file_bytes,
        least(requested.first_requested_us, known.first_requested_us) as first_requested_us
    from requested
    left join {{ this }} as known
        on requested.enclosure_key = known.enclosure_key
    where
        known.enclosure_key is null
        or requested.file_bytes > coalesce(known.file_bytes, 0)
        or requested.first_requested_us < known.first_requested_us

{% else %}

    requested as (

        select
            enclosure_key,
            min(enclosure_url) as enclosure_url,
            max(resource_bytes) as file_bytes,
            min(started_us) as first_requested_us
        from requests
        group by enclosure_key

    )

    select
        enclosure_key,
        enclosure_url,
        file_bytes,
        first_requested_us
    from requested

{% endif %}
