{#
  What each request added to its window, in the order of time: `earshot explain` reads it. Each request is united
  with all before it, so the work grows with the square of a window's requests: hence only of the first so many
  (var `explain`), and only in a warehouse that holds one episode.
#}
{{ config(materialized='view', enabled=var('explain', 0) | int > 0) }}

{% set window = window_key() ~ ', first_request_us, last_request_us' %}
{% set window_request = window ~ ', request_number' %}

with windows as (

    select * from {{ ref('int_download_windows') }}

),

qualifying as (

    select * from {{ ref('int_requests') }}
    where exclusion_reason is null

),

{{ each_request_once('windows', 'qualifying', window) }},

in_order as (

    select
        *,
        row_number() over (
            partition by {{ window }}
            order by started_us, request_key
        ) as request_number
    from delivered_once

),

numbered as (

    select * from in_order
    where request_number <= {{ var('explain', 0) }}

),

up_to as (

    select
        numbered.source_class,
        numbered.listener_key,
        numbered.episode_key,
        numbered.first_request_us,
        numbered.last_request_us,
        numbered.request_number,
        earlier.content_first,
        earlier.content_last,
        earlier.served_bytes
    from numbered
    inner join numbered as earlier
        on
            {{ same_window('numbered', 'earlier') }}
            and numbered.request_number >= earlier.request_number

),

{{ unite_ranges('up_to', window_request) }},

running as (

    select
        numbered.*,
        cast(united.content_bytes as bigint) as running_bytes
    from numbered
    inner join united
        on
            {{ same_window('numbered', 'united') }}
            and numbered.request_number = united.request_number

)

select
    -- ids
    source_class,
    listener_key,
    episode_key,
    request_key,

    -- window
    first_request_us,
    last_request_us,
    request_number,

    -- request
    started_us,
    lines,
    served_bytes,
    content_first,
    content_last,

    -- evidence
    running_bytes - coalesce(
        lag(running_bytes) over (
            partition by {{ window }}
            order by request_number
        ), 0
    ) as contributed_bytes,
    running_bytes
from running
