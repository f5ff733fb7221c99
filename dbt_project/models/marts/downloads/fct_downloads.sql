{{ config(materialized='view') }}

with windows as (

    select * from {{ ref('int_download_windows') }}
    where is_counted

)

select
    -- ids
    source_class,
    source,
    show_id,
    episode_id,
    episode_key,
    listener_key,
    address_key,
    key_epoch,
    enclosure_key,
    rules_version,

    -- window
    date,
    {{ us_to_timestamp('first_request_us') }} as first_request_at,
    {{ us_to_timestamp('last_request_us') }} as last_request_at,
    first_request_us,
    last_request_us,

    -- measures: one a rule, each a download or none
    cast(case when {{ published() }} then 1 else 0 end as integer) as downloads,
    {% for rule in window_rules().split() %}
        cast(case when is_{{ rule }} then 1 else 0 end as integer) as downloads_{{ rule }},
    {% endfor %}

    -- who
    app,
    agent_type,
    device,
    device_category,
    os,
    referrer_app,
    country,
    asn,
    network_kind,

    -- evidence
    requests,
    served_bytes,
    content_bytes,
    threshold_bytes,
    threshold_source,
    is_first_two,
    is_in_catalog,
    is_comparable
from windows
