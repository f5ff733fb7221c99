{{ config(materialized='incremental', incremental_strategy='replace_days') }}

{% set days = date_literals('select day from ' ~ ref('int_changed_days')) %}

with windows as (

    select * from {{ ref('int_download_windows') }}
    {% if is_incremental() %}
        where date in ({{ days }})
    {% endif %}

)

select
    date,
    source_class,
    show_id,
    episode_id,
    episode_key,
    cast(sum(requests) as bigint) as requests,
    cast(sum(served_bytes) as bigint) as served_bytes,
    count(case when is_counted then 1 end) as downloads,
    count(distinct case when is_counted then listener_key end) as listeners,
    count(case when is_counted and threshold_source <> 'episode' then 1 end) as estimated_downloads
from windows
group by
    date,
    source_class,
    show_id,
    episode_id,
    episode_key
