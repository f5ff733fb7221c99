{{ config(materialized='incremental', incremental_strategy='restart_windows') }}
-- depends_on: {{ ref('stg_lake__requests') }}, {{ ref('int_enclosures') }}
-- depends_on: {{ ref('int_recounted_requests') }}, {{ ref('int_window_restarts') }}
-- depends_on: {{ ref('int_recounted_windows') }}
{{ needed_at_once() }}
{% set from_scratch, at_once = builds_from_scratch(), counts_at_once() %}

with
{% if at_once %}

    recounted as (

        {{ requests_to_recount(ref('int_window_restarts')) }}

    ),

{% endif %}

windows as (

    {% if at_once %}
        {{ windows_of('recounted') }}
    {% else %}
        select * from {{ recounted_windows() }}
    {% endif %}

),

-- What a window says of its listener and episode, one of its lines says. Of all lines these first, and the
-- catalogue only for them († 0.15 of 3.4 CPU-s).
lines as (

    select
        windows.*,
        requests.source,
        requests.rules_version,
        requests.address_key,
        requests.address_key_prev,
        requests.key_epoch,
        requests.enclosure_key,
        requests.agent_type,
        requests.app,
        requests.device,
        requests.device_category,
        requests.os,
        requests.referrer_app,
        requests.country,
        requests.asn,
        requests.network_kind,
        {% if from_scratch %}
            requests.enclosure_url
        {% else %}
            requests.show_id,
            requests.episode_id,
            requests.unmatched_url
        {% endif %}
    {% if at_once %}
        from recounted as requests
    {% else %}
        from {{ ref('stg_lake__requests') if from_scratch else ref('int_recounted_requests') }} as requests
    {% endif %}
    inner join windows -- in memory: fewer and narrower
        on requests.line_key = windows.line_key

),

described as (

    {% if from_scratch %}
        select
            lines.*,
            enclosures.show_id,
            enclosures.episode_id,
            case when enclosures.enclosure_key is null then lines.enclosure_url end as unmatched_url
        from lines
        left join {{ ref('int_enclosures') }} as enclosures
            on {{ same_enclosure('lines', 'enclosures') }}
    {% else %}
        select * from lines
    {% endif %}

)

select
    -- ids
    source_class,
    source,
    rules_version,
    listener_key,
    address_key,
    address_key_prev,
    key_epoch,
    episode_key,
    enclosure_key,
    show_id,
    coalesce(episode_id, unmatched_url) as episode_id,
    unmatched_url is null as is_in_catalog,
    is_comparable,

    -- window
    {% for rule in window_rules().split() %}
        is_{{ rule }},
    {% endfor %}
    first_request_us,
    last_request_us,
    date,

    -- who
    agent_type,
    app,
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
    is_first_two,
    threshold_bytes,
    threshold_source,
    is_counted
from described
