{#
  Give each qualifying request its window (IAB 2.3 §5.5.1). `requests` names a CTE with source_class,
  listener_key, episode_key and started_us; the macro continues the `with` list and ends with the CTE
  `windowed`, which adds window_start_us. Windows are anchored on qualifying requests whatever their bytes.
#}
{% macro assign_windows(requests) %}
    {% if window_rule() == 'calendar' %}

        -- R22: the window is the UTC day.
        windowed as (

            select
                *,
                {{ int_div('started_us', window_us()) }} * {{ window_us() }} as window_start_us
            from {{ requests }}

        )

    {% else %}

        -- By hash first: nearly every listener has a single window, the span of its requests shows it.
        spans as (

            select
                source_class,
                listener_key,
                episode_key,
                min(started_us) as first_us,
                max(started_us) as last_us
            from {{ requests }}
            group by {{ window_key() }}

        ),

        instants as (

            select distinct
                requests.source_class,
                requests.listener_key,
                requests.episode_key,
                requests.started_us
            from {{ requests }} as requests
            inner join spans
                on {{ same_key('requests', 'spans') }}
            where spans.last_us >= spans.first_us + {{ window_us() }}

        ),

        {% if window_rule() == 'last_touch' %}

            -- R24: every request extends its window; a pause of 24 hours ends it.
            pauses as (

                select
                    *,
                    started_us - lag(started_us) over (
                        partition by {{ window_key() }}
                        order by started_us
                    ) as pause_us
                from instants

            ),

            long as (

                select
                    source_class,
                    listener_key,
                    episode_key,
                    started_us,
                    max(case when pause_us is null or pause_us >= {{ window_us() }} then started_us end) over (
                        partition by {{ window_key() }}
                        order by started_us
                        rows between unbounded preceding and current row
                    ) as window_start_us
                from pauses

            ),

        {% else %}

            -- R23: 24 hours from the first request; the first one at or after its end opens the next.
            following as (

                select
                    *,
                    min(started_us) over (
                        partition by {{ window_key() }}
                        order by started_us
                        range between {{ window_us() }} following and unbounded following
                    ) as next_us
                from instants

            ),

            anchors as (

                select
                    source_class,
                    listener_key,
                    episode_key,
                    first_us as anchor_us
                from spans
                where last_us >= first_us + {{ window_us() }}
                union all
                select
                    anchors.source_class,
                    anchors.listener_key,
                    anchors.episode_key,
                    following.next_us as anchor_us
                from anchors
                inner join following
                    on
                        {{ same_key('anchors', 'following') }}
                        and anchors.anchor_us = following.started_us
                where following.next_us is not null

            ),

            long as (

                select
                    instants.source_class,
                    instants.listener_key,
                    instants.episode_key,
                    instants.started_us,
                    max(anchors.anchor_us) as window_start_us
                from instants
                inner join anchors
                    on
                        {{ same_key('instants', 'anchors') }}
                        and anchors.anchor_us <= instants.started_us
                group by
                    instants.source_class, instants.listener_key, instants.episode_key, instants.started_us

            ),

        {% endif %}

        windowed as (

            select
                requests.*,
                coalesce(long.window_start_us, spans.first_us) as window_start_us
            from {{ requests }} as requests
            inner join spans
                on {{ same_key('requests', 'spans') }}
            left join long
                on
                    {{ same_key('requests', 'long') }}
                    and requests.started_us = long.started_us

        )

    {% endif %}
{% endmacro %}
