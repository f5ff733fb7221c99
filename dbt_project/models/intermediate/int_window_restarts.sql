{#
  Counting restarts per listener and episode at the start of the chain of requests (pauses under 24 hours) that
  covers the key's earliest new request, else at that request. Before a chain lies a pause of 24 hours, so no
  window of any rule reaches over its start: windows before it cannot change, all from it on are counted again.
  Equal to a full rebuild, also for files days late.
#}
{% set windows = remembered('int_download_windows') %}
{% set new_days = date_literals('select distinct day from ' ~ ref('int_new_files')) %}
{% set restated = ref('int_new_files') ~ ' where is_restated' %}
{% set restated_days = date_literals('select distinct day from ' ~ restated) %}
{% set has_restated = windows is not none and restated_days != date_literals('select null') %}
{% set earliest_us = '0' if has_restated else first_new_us() %}
{% set kept_us = first_kept_us() %}
{% set moved_day = first_moved_day() %}
{% set moved_days = listener_days(ref('int_listener_updates') ~ ' where not is_new') %}
{# Where nothing moved, what looks for it is left out: DuckDB would plan it († a fifth of this model). #}
{% set has_moved = moved_day is not none or moved_days != date_literals('select null') %}

-- depends_on: {{ ref('int_started_under') }}, {{ ref('stg_lake__files') }}
-- depends_on: {{ ref('int_changed_enclosures') }}
-- Each use reads the requests for itself: a CTE with two uses is kept whole, and that is the whole history.
with new_files as (

    select distinct
        source,
        file_id
    from {{ ref('int_new_files') }}

),

{% if has_restated %}

    restated_span as ( -- noqa: ST03

        select
            min(day) as first_day,
            max(day) as last_day
        from {{ ref('int_new_files') }}
        where is_restated

    ),

{% endif %}

new_requests as (

    select
        requests.source_class,
        requests.listener_key,
        requests.episode_key,
        requests.started_us
    from {{ ref('int_requests') }} as requests
    inner join new_files
        on requests.source = new_files.source and requests.file_id = new_files.file_id
    where
        requests.day in ({{ new_days }})
        and {{ may_be_new('requests.file_id') }}
        -- What does not count today may have counted before its day was judged again.
        and (requests.exclusion_reason is null or requests.day in ({{ restated_days }}))

),

{% if has_moved %}

    -- A changed catalogue entry moves or re-weighs requests counted long ago. A listener may have been
    -- counted under the newer of two keys, whose older one came late. Both at once leave four keys to count
    -- again.
    moved_episodes as (

        select
            requests.source_class,
            requests.listener_key,
            coalesce(updates.former_canonical_key, requests.listener_key) as former_listener_key,
            changed.episode_key,
            changed.former_episode_key,
            requests.started_us
        from {{ ref('int_requests') }} as requests
        inner join {{ ref('int_changed_enclosures') }} as changed
            on requests.enclosure_key = changed.enclosure_key
        left join {{ ref('int_listener_updates') }} as updates
            on
                requests.key_epoch = updates.key_epoch
                and requests.logged_listener_key = updates.listener_key
        where requests.day >= {{ moved_day or "cast('9999-12-31' as date)" }}

    ),

    moved_listeners as (

        select
            requests.source_class,
            requests.listener_key,
            updates.former_canonical_key as former_listener_key,
            requests.episode_key,
            coalesce(changed.former_episode_key, requests.episode_key) as former_episode_key,
            requests.started_us
        from {{ ref('int_requests') }} as requests
        inner join {{ ref('int_listener_updates') }} as updates
            on
                requests.key_epoch = updates.key_epoch
                and requests.logged_listener_key = updates.listener_key
                and not updates.is_new
        left join {{ ref('int_changed_enclosures') }} as changed
            on requests.enclosure_key = changed.enclosure_key
        where requests.day in ({{ moved_days }})

    ),

    moved as (

        select * from moved_episodes
        union all
        select * from moved_listeners

    ),

{% endif %}

touched as (

    select * from new_requests
    {% for listener in (['listener_key', 'former_listener_key'] if has_moved else []) %}
        {% for episode in ['episode_key', 'former_episode_key'] %}
            union all
            select
                source_class,
                {{ listener }},
                {{ episode }},
                started_us
            from moved
        {% endfor %}
    {% endfor %}
    {% if has_restated %}
        -- Under other prefix rules a request may have left its episode: what was counted then tells.
        union all
        select
            counted.source_class,
            counted.listener_key,
            counted.episode_key,
            counted.first_request_us
        from {{ windows }} as counted
        inner join restated_span
            on
                {{ us_to_date('counted.first_request_us') }} <= restated_span.last_day
                and {{ us_to_date('counted.last_request_us') }} >= restated_span.first_day
    {% endif %}

),

earliest as (

    select
        source_class,
        listener_key,
        episode_key,
        min(started_us) as restart_us
    from touched
    group by {{ window_key() }}

),

{% if builds_from_scratch() %}

    final as (

        select * from earliest
        where 1 = 0

    )

{% else %}

    at_chain as (

        {{ chain_start('earliest', windows, earliest_us) }}

    ),

    {% if time_zone() == 'UTC' %}

        final as (

            select * from at_chain

        )

    {% else %}

        -- The longest day has 25 hours, so two chains may begin in one: then at the first.
        same_day as (

            select
                at_chain.source_class,
                at_chain.listener_key,
                at_chain.episode_key,
                least(
                    at_chain.restart_us, coalesce(min(windows.first_request_us), at_chain.restart_us)
                ) as restart_us
            from at_chain
            left join {{ windows }} as windows
                on
                    {{ same_key('at_chain', 'windows') }}
                    and windows.is_calendar
                    and windows.date = {{ us_to_local_date('at_chain.restart_us') }}
            group by at_chain.source_class, at_chain.listener_key, at_chain.episode_key, at_chain.restart_us

        ),

        final as (

            {{ chain_start('same_day', windows, '0') }}

        )

    {% endif %}

{% endif %},

-- What was counted from requests that are gone stays as it is: counting begins where the lake does, and after
-- the chain that reaches over that instant.
kept as (

    {% if kept_us is none or windows is none %}
        select * from final
    {% else %}
        select
            final.source_class,
            final.listener_key,
            final.episode_key,
            case
                when final.restart_us >= {{ kept_us }} then final.restart_us
                else coalesce(max(windows.last_request_us) + 1, {{ kept_us }})
            end as restart_us
        from final
        left join {{ windows }} as windows
            on
                {{ same_key('final', 'windows') }}
                and final.restart_us < {{ kept_us }}
                and windows.is_last_touch
                and windows.first_request_us < {{ kept_us }}
                and windows.last_request_us >= {{ kept_us }}
        group by final.source_class, final.listener_key, final.episode_key, final.restart_us
    {% endif %}

)

select
    source_class,
    listener_key,
    episode_key,
    restart_us,
    {{ us_to_date('restart_us') }} as restart_day
from kept
