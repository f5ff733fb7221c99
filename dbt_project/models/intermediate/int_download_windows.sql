{{ config(materialized='incremental', incremental_strategy='restart_windows') }}
-- depends_on: {{ ref('int_requests') }}, {{ ref('int_recounted_requests') }}
-- depends_on: {{ ref('int_window_restarts') }}, {{ ref('int_recounted_windows') }}
{{ needed_at_once() }}
{% set at_once = counts_at_once() %}

with recounted as (

    {% if at_once %}
        {{ requests_to_recount(ref('int_window_restarts')) }}
    {% else %}
        select * from {{ requests_to_count() }}
    {% endif %}

),

windows as (

    {% if at_once %}
        {{ windows_of('recounted') }}
    {% else %}
        select * from {{ ref('int_recounted_windows') }}
    {% endif %}

),

-- What a window says of its listener and episode, one of its lines says.
described as (

    select
        line_key,
        source,
        rules_version,
        address_key,
        address_key_prev,
        key_epoch,
        enclosure_key,
        show_id,
        agent_type,
        app,
        device,
        device_category,
        os,
        referrer_app,
        country,
        asn,
        network_kind,
        coalesce(episode_id, unmatched_url) as episode_id,
        unmatched_url is null as is_in_catalog
    from recounted
    where exclusion_reason is null

)

select
    -- ids
    windows.source_class,
    described.source,
    described.rules_version,
    windows.listener_key,
    described.address_key,
    described.address_key_prev,
    described.key_epoch,
    windows.episode_key,
    described.enclosure_key,
    described.show_id,
    described.episode_id,
    described.is_in_catalog,
    windows.is_comparable,

    -- window
    {% for rule in window_rules().split() %}
        windows.is_{{ rule }},
    {% endfor %}
    windows.first_request_us,
    windows.last_request_us,
    windows.date,

    -- who
    described.agent_type,
    described.app,
    described.device,
    described.device_category,
    described.os,
    described.referrer_app,
    described.country,
    described.asn,
    described.network_kind,

    -- evidence
    windows.requests,
    windows.served_bytes,
    windows.content_bytes,
    windows.is_first_two,
    windows.threshold_bytes,
    windows.threshold_source,
    windows.is_counted
from described
inner join windows -- in memory: fewer and narrower
    on described.line_key = windows.line_key
