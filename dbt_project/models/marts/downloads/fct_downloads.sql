{{ config(materialized='incremental', incremental_strategy='restart_windows') }}

{% set restarts = ref('int_window_restarts') %}

with windows as (

    select * from {{ ref('int_download_windows') }}

),

{% if is_incremental() %}

    recounted as (

        select windows.*
        from windows
        inner join {{ restarts }} as restarts
            on
                {{ same_key('windows', 'restarts') }}
                and windows.last_request_us >= restarts.restart_us
                and windows.first_request_us < restarts.until_us

    )

{% else %}

    recounted as (

        select * from windows

    )

{% endif %}

select
    -- ids
    source_class,
    show_id,
    episode_id,
    episode_key,
    listener_key,
    address_key,
    key_epoch,
    enclosure_key,

    -- window
    date,
    window_rule,
    {{ us_to_timestamp('window_start_us') }} as window_start_at,
    {{ us_to_timestamp('first_request_us') }} as first_request_at,
    {{ us_to_timestamp('last_request_us') }} as last_request_at,
    first_request_us,
    last_request_us,

    -- who
    app,
    agent_type,
    device,
    device_category,
    country,

    -- evidence
    requests,
    served_bytes,
    content_bytes,
    threshold_bytes,
    threshold_source,
    is_first_two,
    is_in_catalog
from recounted
where is_counted
