{{ config(materialized='incremental', incremental_strategy='replace_days') }}

{% set changed_days = ref('int_changed_days') %}

with downloads as (

    select * from {{ ref('int_download_windows') }}
    where
        {{ published() }}
        and is_counted
        {% if is_incremental() %}
            and date in ({{ date_literals('select day from ' ~ changed_days) }})
        {% endif %}

),

requests as (

    select
        requests.source_class,
        requests.started_us,
        requests.agent,
        coalesce(links.canonical_listener_key, requests.listener_key) as listener_key
    from {{ ref('stg_lake__requests') }} as requests
    left join {{ ref('int_listener_links') }} as links
        on requests.key_epoch = links.key_epoch and requests.listener_key = links.listener_key
    {% if is_incremental() %}
        where requests.day in ({{ lake_days(changed_days) }})
    {% endif %}

),

listeners as (

    select
        date,
        source_class,
        listener_key,
        count(*) as downloads,
        min(first_request_us) as first_request_us
    from downloads
    group by date, source_class, listener_key

),

-- A listener is an address and an agent, so any of its requests names the agent.
named as (

    select
        listeners.date,
        listeners.source_class,
        listeners.listener_key,
        listeners.downloads,
        min(requests.agent) as agent
    from listeners
    inner join requests
        on
            listeners.source_class = requests.source_class
            and listeners.listener_key = requests.listener_key
            and listeners.first_request_us = requests.started_us
    group by listeners.date, listeners.source_class, listeners.listener_key, listeners.downloads

),

volumes as (

    select
        date,
        source_class,
        'address' as kind,
        address_key,
        cast(null as varchar) as agent,
        count(*) as downloads,
        log2(1 + count(*)) as magnitude
    from downloads
    group by date, source_class, address_key
    union all
    -- An agent's volume is that of its average listener: a popular app is nothing improbable.
    select
        date,
        source_class,
        'agent' as kind,
        cast(null as bigint) as address_key,
        agent,
        cast(sum(downloads) as bigint) as downloads,
        log2(1 + sum(downloads) / count(*)) as magnitude
    from named
    where agent is not null
    group by date, source_class, agent

),

medians as (

    select
        date,
        source_class,
        kind,
        {{ quartile(0.5, 'magnitude') }} as median_magnitude
    from volumes
    group by date, source_class, kind

),

-- 1.4826 makes the median absolute deviation (MAD) a standard deviation where the logs are normal. Most
-- addresses download once, which makes it 0: a deviation is never taken for less than half a doubling.
spreads as (

    select
        volumes.date,
        volumes.source_class,
        volumes.kind,
        medians.median_magnitude,
        greatest(
            1.4826 * {{ quartile(0.5, 'abs(volumes.magnitude - medians.median_magnitude)') }}, 0.5
        ) as deviation
    from volumes
    inner join medians
        on
            volumes.date = medians.date
            and volumes.source_class = medians.source_class
            and volumes.kind = medians.kind
    group by volumes.date, volumes.source_class, volumes.kind, medians.median_magnitude

),

-- Whatever the settings may flag: under others, past days are flagged anew without their requests.
scored as (

    select
        volumes.*,
        (volumes.magnitude - spreads.median_magnitude) / spreads.deviation as score
    from volumes
    inner join spreads
        on
            volumes.date = spreads.date
            and volumes.source_class = spreads.source_class
            and volumes.kind = spreads.kind
    where
        volumes.downloads >= {{ least_flagged_downloads() }}
        and volumes.magnitude > spreads.median_magnitude

),

day_totals as (

    select
        date,
        source_class,
        sum(downloads) as downloads
    from listeners
    group by date, source_class

),

-- What lies behind the few that scored.
behind as (

    select
        scored.date,
        scored.source_class,
        scored.kind,
        scored.address_key,
        scored.agent,
        downloads.episode_key,
        downloads.address_key as from_address,
        downloads.listener_key
    from scored
    inner join downloads
        on
            scored.date = downloads.date
            and scored.source_class = downloads.source_class
            and scored.address_key = downloads.address_key
    union all
    select
        scored.date,
        scored.source_class,
        scored.kind,
        scored.address_key,
        scored.agent,
        downloads.episode_key,
        downloads.address_key as from_address,
        downloads.listener_key
    from scored
    inner join named
        on
            scored.date = named.date
            and scored.source_class = named.source_class
            and scored.agent = named.agent
    inner join downloads
        on
            named.date = downloads.date
            and named.source_class = downloads.source_class
            and named.listener_key = downloads.listener_key

),

details as (

    select
        date,
        source_class,
        kind,
        address_key,
        agent,
        count(distinct episode_key) as episodes,
        count(distinct from_address) as addresses,
        count(distinct listener_key) as listeners
    from behind
    group by date, source_class, kind, address_key, agent

)

select
    scored.date,
    scored.source_class,
    scored.kind,
    scored.address_key,
    scored.agent,
    scored.downloads,
    scored.score,
    details.episodes,
    details.addresses,
    -- The listeners of one address are its agents.
    case when scored.kind = 'address' then details.listeners else 1 end as agents,
    scored.downloads / day_totals.downloads as share_of_day
from scored
inner join day_totals
    on scored.date = day_totals.date and scored.source_class = day_totals.source_class
inner join details
    on
        scored.date = details.date
        and scored.source_class = details.source_class
        and scored.kind = details.kind
        and scored.address_key is not distinct from details.address_key
        and scored.agent is not distinct from details.agent
