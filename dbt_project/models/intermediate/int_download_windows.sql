{{ config(
    materialized='incremental',
    incremental_strategy='restart_windows',
    on_schema_change='append_new_columns',
) }}

{% set restarts = ref('int_window_restarts') %}

with {% if window_rule() == 'first_touch' %}recursive {% endif %}qualifying as (

    {% if is_incremental() %}

        {{ requests_to_recount(restarts) }}

    {% else %}

        select * from {{ ref('int_requests') }}
        where exclusion_reason is null

    {% endif %}

),

{{ assign_windows('qualifying') }},

-- One hash aggregate over everything; what needs care (several requests) is looked at again below.
grouped as (

    select
        source_class,
        listener_key,
        episode_key,
        window_start_us,
        count(*) as lines,
        min(started_us) as first_request_us,
        max(started_us) as last_request_us,
        min(key_epoch) as key_epoch,
        min(address_key) as address_key,
        min(enclosure_key) as enclosure_key,
        min(unmatched_url) as unmatched_url,
        min(show_id) as show_id,
        min(episode_id) as episode_id,
        min(agent_type) as agent_type,
        min(app) as app,
        min(device) as device,
        min(device_category) as device_category,
        min(country) as country,
        min(case when is_first_two then 1 else 0 end) as only_first_two,
        sum(served_bytes) as served_bytes,
        sum(greatest(content_last - content_first + 1, 0)) as content_bytes,
        min(threshold_bytes) as threshold_bytes,
        min(threshold_source) as threshold_source
    from windowed
    group by {{ window_key() }}, window_start_us

),

several as (

    select
        source_class,
        listener_key,
        episode_key,
        window_start_us
    from grouped
    where lines > 1

),

-- A log line delivered twice is one request.
delivered_once as (

    select
        windowed.source_class,
        windowed.listener_key,
        windowed.episode_key,
        windowed.window_start_us,
        windowed.started_us,
        windowed.request_key,
        min(windowed.content_first) as content_first,
        max(windowed.content_last) as content_last,
        max(windowed.served_bytes) as served_bytes
    from windowed
    inner join several
        on
            {{ same_key('windowed', 'several') }}
            and windowed.window_start_us = several.window_start_us
    group by
        windowed.source_class,
        windowed.listener_key,
        windowed.episode_key,
        windowed.window_start_us,
        windowed.started_us,
        windowed.request_key

),

-- Union of byte ranges: what of each range lies beyond all that begin before it.
reached as (

    select
        *,
        max(content_last) over (
            partition by {{ window_key() }}, window_start_us
            order by content_first, content_last
            rows between unbounded preceding and 1 preceding
        ) as reached_last
    from delivered_once

),

united as (

    select
        source_class,
        listener_key,
        episode_key,
        window_start_us,
        count(*) as requests,
        sum(served_bytes) as served_bytes,
        sum(
            greatest(content_last - greatest(content_first, coalesce(reached_last + 1, content_first)) + 1, 0)
        ) as content_bytes
    from reached
    group by {{ window_key() }}, window_start_us

),

final as (

    select
        -- ids
        grouped.source_class,
        grouped.listener_key,
        grouped.address_key,
        grouped.key_epoch,
        grouped.episode_key,
        grouped.enclosure_key,
        grouped.show_id,
        coalesce(grouped.episode_id, grouped.unmatched_url) as episode_id,
        grouped.unmatched_url is null as is_in_catalog,

        -- window
        '{{ window_rule() }}' as window_rule,
        grouped.window_start_us,
        {% if window_rule() == 'last_touch' %}
            grouped.last_request_us + {{ window_us() }} as window_end_us,
        {% else %}
            grouped.window_start_us + {{ window_us() }} as window_end_us,
        {% endif %}
        grouped.first_request_us,
        grouped.last_request_us,
        {{ us_to_date('grouped.window_start_us') }} as date,

        -- who
        grouped.agent_type,
        grouped.app,
        grouped.device,
        grouped.device_category,
        grouped.country,

        -- evidence
        cast(coalesce(united.requests, 1) as bigint) as requests,
        cast(coalesce(united.served_bytes, grouped.served_bytes) as bigint) as served_bytes,
        cast(coalesce(united.content_bytes, grouped.content_bytes) as bigint) as content_bytes,
        cast(grouped.only_first_two = 1 as boolean) as is_first_two,
        case when grouped.source_class = 'server_log' then grouped.threshold_bytes end as threshold_bytes,
        case when grouped.source_class = 'server_log' then grouped.threshold_source end as threshold_source
    from grouped
    left join united
        on
            {{ same_key('grouped', 'united') }}
            and grouped.window_start_us = united.window_start_us

)

select
    *,
    -- R13 where bytes are seen; a prefix counts requests (R32).
    source_class = 'prefix' or content_bytes >= threshold_bytes as is_counted
from final
