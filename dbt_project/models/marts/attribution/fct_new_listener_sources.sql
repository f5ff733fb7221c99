{#
  Where the first-ever listeners of a show that grows (A) come from, week by week, by device key: an observation,
  no effect. Who cannot be told is unknown, also after an exposure: a key that has just appeared, or that many
  share, is often an old listener under another address, and to count it for the collaboration alone would
  favour the collaboration.

  Cheap, since the downloads are read once for A's first ones (one row a key and show stays) and twice for the
  exposures (against the collaborations: some thousand rows in memory), and keys meet only keys.
#}
{{ config(materialized='incremental', incremental_strategy='kept_weeks') }}

{% set look_back_days = 30 %}
{% set exposure_back_us = days_us(look_back_days) %}

with collaborations as (

    select
        target_id as collaboration_id,
        show_id,
        show_key,
        partner_show_key,
        episode_id,
        episode_key,
        starts_us,
        exposure_ends_us
    from {{ ref('int_collaborations') }}
    where not is_placebo

),

shows as (

    select distinct
        show_key,
        show_id
    from collaborations
    where show_id is not null

),

-- Each use reads the downloads for itself: a CTE with several uses would be kept whole.
newcomers as (

    select
        downloads.show_key,
        downloads.device_key,
        min(downloads.started_us) as first_us,
        min(downloads.date) as first_date
    from {{ ref('int_device_downloads') }} as downloads
    inner join shows
        on downloads.show_key = shows.show_key
    group by downloads.show_key, downloads.device_key

),

exposures as (

    select
        collaborations.collaboration_id,
        collaborations.show_key,
        downloads.device_key,
        downloads.started_us as exposed_us
    from {{ ref('int_device_downloads') }} as downloads
    inner join collaborations
        on
            downloads.episode_key = collaborations.episode_key
            and downloads.started_us >= collaborations.starts_us
            and downloads.started_us < collaborations.exposure_ends_us
    union all
    select
        collaborations.collaboration_id,
        collaborations.show_key,
        downloads.device_key,
        downloads.started_us as exposed_us
    from {{ ref('int_device_downloads') }} as downloads
    inner join collaborations
        on
            downloads.show_key = collaborations.partner_show_key
            and downloads.started_us >= collaborations.starts_us
            and downloads.started_us < collaborations.exposure_ends_us
    -- A range of time names no episode; one that is named but not known yet has no key, and exposes nobody.
    where collaborations.episode_key is null and collaborations.episode_id is null

),

-- [t - 30 d, t); of exposures at the same microsecond the younger collaboration is the last.
ranked as (

    select
        newcomers.show_key,
        newcomers.device_key,
        exposures.collaboration_id,
        row_number() over (
            partition by newcomers.show_key, newcomers.device_key
            order by exposures.exposed_us desc, exposures.collaboration_id desc
        ) as rank_from_last
    from newcomers
    inner join exposures -- in memory: fewer than the listeners of all time
        on
            newcomers.show_key = exposures.show_key
            and newcomers.device_key = exposures.device_key
            and newcomers.first_us > exposures.exposed_us
            and newcomers.first_us - {{ exposure_back_us }} <= exposures.exposed_us

),

known as (

    select
        newcomers.show_key,
        newcomers.device_key,
        {{ first_day('newcomers.first_date', 'week') }} as week, -- noqa: RF04
        not device_keys.is_shared
        and device_keys.first_us <= newcomers.first_us - {{ tenure_us() }} as can_be_told
    from {{ ref('int_device_keys') }} as device_keys
    inner join newcomers -- in memory: fewer than the keys of all shows
        on device_keys.device_key = newcomers.device_key

),

told as (

    select
        known.show_key,
        known.week,
        case
            when not known.can_be_told then 'unknown'
            when ranked.collaboration_id is null then 'organic'
            else 'collaboration'
        end as source,
        case when known.can_be_told then ranked.collaboration_id end as collaboration_id
    from known
    left join ranked
        on
            known.show_key = ranked.show_key
            and known.device_key = ranked.device_key
            and ranked.rank_from_last = 1

),

counted as (

    select
        show_key,
        week,
        source,
        collaboration_id,
        count(*) as listeners
    from told
    group by show_key, week, source, collaboration_id

),

-- A's own sources, and what is kept of device keys: whichever begins later.
spans as (

    select
        show_id,
        min(first_event_us) as first_event_us,
        max(last_event_us) as last_event_us
    from {{ ref('int_show_spans') }}
    group by show_id

),

device_data as (

    select min(started_us) as first_event_us from {{ ref('int_device_downloads') }}

)

select
    shows.show_id,
    counted.week,
    counted.source,
    counted.collaboration_id,
    counted.listeners,
    counted.week - {{ look_back_days }}
    >= {{ us_to_local_date('greatest(spans.first_event_us, device_data.first_event_us)') }}
    and counted.week + 6 < {{ us_to_local_date('spans.last_event_us') }} as is_complete
from counted
inner join shows
    on counted.show_key = shows.show_key
inner join spans
    on shows.show_id = spans.show_id
cross join device_data
