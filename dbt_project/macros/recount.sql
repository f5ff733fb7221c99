{# What is counted now: everything at first, then what int_recounted_requests holds. #}
{% macro requests_to_count() %}
    {{ return(ref('int_requests') if builds_from_scratch() else ref('int_recounted_requests')) }}
{% endmacro %}

{#
  The requests of the keys whose counting restarts, from their restart on. The days are literals, so that the
  lake prunes folders. Late keys go in a pass of their own: one old line must not make the whole batch read
  history.
#}
{% macro requests_to_recount(restarts) %}
    {% set head = _single_date("select max(restart_day) - 1 from " ~ restarts) %}
    {% set tail = _single_date("select min(restart_day) from " ~ restarts ~ " where restart_day < " ~ head) %}
    {{ _recount_pass(restarts, 'requests.day >= ' ~ head, 'restarts.restart_day >= ' ~ head) }}
    {% if tail != "cast('1970-01-01' as date)" %}
        union all
        {{ _recount_pass(restarts, 'requests.day >= ' ~ tail, 'restarts.restart_day < ' ~ head) }}
    {% endif %}
{% endmacro %}

{% macro _recount_pass(restarts, days, keys) %}
    select requests.*
    from {{ ref('int_requests') }} as requests
    inner join {{ restarts }} as restarts
        on
            {{ same_key('requests', 'restarts') }}
            and requests.started_us >= restarts.restart_us
    where
        {{ days }}
        and {{ keys }}
{% endmacro %}

{% macro _single_date(sql) %}{{ return(date_literals(sql).split(', ')[0]) }}{% endmacro %}

{# `keys` (a CTE with restart_us) with restart_us moved back to the start of the stored chain that covers it. #}
{% macro chain_start(keys, windows) %}
    select
        {{ keys }}.source_class,
        {{ keys }}.listener_key,
        {{ keys }}.episode_key,
        coalesce(min(windows.first_request_us), min({{ keys }}.restart_us)) as restart_us
    from {{ keys }}
    left join {{ windows }} as windows
        on
            {{ same_key(keys, 'windows') }}
            and windows.is_last_touch
            and {{ keys }}.restart_us >= windows.first_request_us
            and {{ keys }}.restart_us < windows.last_request_us + {{ window_us() }}
    group by {{ keys }}.source_class, {{ keys }}.listener_key, {{ keys }}.episode_key
{% endmacro %}
