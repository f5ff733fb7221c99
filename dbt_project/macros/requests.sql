{#
  Requests as cleaning wrote them (`requests`: SQL of rows of stg_lake__requests) with what the catalogue and the
  listeners' chains add: whose they are, what they served, and whether they qualify.
#}
{% macro described_requests(requests) %}
with requests as (

    select * from {{ requests }}

),

enclosures as (

    select * from {{ ref('int_enclosures') }}
    where enclosure_key is not null

),

links as (

    select * from {{ ref('int_listener_links') }}

)

select
    -- ids
    requests.source_class,
    requests.source,
    requests.file_id,
    requests.line_number,
    requests.line_key,
    requests.rules_version,
    requests.is_comparable,
    requests.request_key,
    requests.key_epoch,
    requests.address_key,
    requests.address_key_prev,
    requests.listener_key as logged_listener_key,
    -- One listener under one key, also where a new secret made another (int_listener_updates).
    coalesce(links.canonical_listener_key, requests.listener_key) as listener_key,
    requests.enclosure_key,
    -- An enclosure the catalogue does not know is an episode of its own, under its canonical URL.
    coalesce(enclosures.episode_key, requests.enclosure_key) as episode_key,
    enclosures.show_id,
    enclosures.episode_id,
    case when enclosures.enclosure_key is null then requests.enclosure_url end as unmatched_url,

    -- request
    requests.started_us,
    requests.day,
    {{ us_to_local_date('requests.started_us') }} as date,
    requests.served_bytes,
    requests.is_first_two,
    -- The content served, first to last byte: without the file's header (R13), never beyond its end.
    greatest(requests.range_start, coalesce(enclosures.header_bytes, 0)) as content_first,
    least(
        requests.range_start + requests.served_bytes,
        coalesce(enclosures.file_bytes, requests.resource_bytes, requests.range_start + requests.served_bytes)
    ) - 1 as content_last,

    -- who
    requests.agent_type,
    requests.app,
    requests.device,
    requests.device_category,
    requests.os,
    requests.referrer_app,
    requests.country,
    requests.asn,
    requests.network_kind,

    -- judgement
    coalesce(
        enclosures.threshold_bytes,
        -- R14: never more than the file holds, where the log tells its size.
        least(
            {{ default_threshold_bytes() }},
            coalesce(requests.resource_bytes, {{ default_threshold_bytes() }})
        )
    ) as threshold_bytes,
    coalesce(enclosures.threshold_source, 'default') as threshold_source,
    coalesce(
        requests.exclusion_reason,
        case when requests.started_us < enclosures.published_us then 'before_publication' end
    ) as exclusion_reason
from requests
left join enclosures
    on {{ same_enclosure('requests', 'enclosures') }}
left join links
    on requests.key_epoch = links.key_epoch and requests.listener_key = links.listener_key
{% endmacro %}
