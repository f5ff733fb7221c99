{# What is counted now: everything at first, then what int_recounted_requests holds. #}
{% macro requests_to_count() %}
    {{ return(ref('int_requests') if builds_from_scratch() else ref('int_recounted_requests')) }}
{% endmacro %}

{#
  The requests of the keys whose counting restarts, from their restart on. The days are literals, so that the
  lake prunes folders. Late keys go in a pass of their own: one old line must not make the whole batch read
  history. First the few lines by narrow columns, then all of these lines alone.
#}
{% macro requests_to_recount(restarts) %}
    {% set head = _single_date("select max(restart_day) - 1 from " ~ restarts) %}
    {% set tail = _single_date("select min(restart_day) from " ~ restarts ~ " where restart_day < " ~ head) %}
    {% set has_tail = tail != "cast('1970-01-01' as date)" %}
    {% set lines %}
        (
            select requests.*
            from {{ ref('stg_lake__requests') }} as requests
            inner join (
                {{ _recount_pass(restarts, 'requests.day >= ' ~ head, 'restarts.restart_day >= ' ~ head) }}
                {% if has_tail %}
                    union all
                    {{ _recount_pass(restarts, 'requests.day >= ' ~ tail, 'restarts.restart_day < ' ~ head) }}
                {% endif %}
            ) as lines
                on requests.line_key = lines.line_key
            where requests.day >= {{ tail if has_tail else head }}
        )
    {% endset %}
    {{ described_requests(lines) }}
{% endmacro %}

{% macro _recount_pass(restarts, days, keys) %}
    select requests.line_key
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

{#
  No request that is counted anew or for the first time started before this instant; 0 when a listener's older key
  moves what was counted long ago.
#}
{% macro first_new_us() %}
    {% if execute and not builds_from_scratch() %}
        {% set first %}
            select least(
                (
                    select min(files.first_us)
                    from {{ ref('stg_lake__files') }} as files
                    inner join {{ ref('int_new_files') }} as new_files
                        on files.source = new_files.source and files.file_id = new_files.file_id
                    where files.status = 'taken'
                ),
                (select min(first_requested_us) from {{ ref('int_changed_enclosures') }})
            ) as first_us
            where not exists (select 1 from {{ ref('int_listener_updates') }} where not is_new)
        {% endset %}
        {% set rows = run_query(first).rows %}
        {% if rows | length and rows[0][0] is not none %}{{ return(rows[0][0] | string) }}{% endif %}
    {% endif %}
    {{ return('0') }}
{% endmacro %}

{# The first event day with requests of enclosures that changed, as a literal; after all days when none did. #}
{% macro first_moved_day() %}
    {% if execute and not builds_from_scratch() %}
        {% set first = 'select min(first_requested_us) as first_us from ' ~ ref('int_changed_enclosures') %}
        {% set day = 'select ' ~ us_to_date('first_us') ~ ' from (' ~ first ~ ') as first' %}
        {% set found = run_query(day).rows[0][0] %}
        {{ return("cast('" ~ (found or '9999-12-31') ~ "' as date)") }}
    {% endif %}
    {{ return("cast('1970-01-01' as date)") }}
{% endmacro %}

{#
  `keys` (a CTE with restart_us) with restart_us moved back to the start of the stored chain that covers it.
  earliest: SQL of an instant no restart lies before.
#}
{% macro chain_start(keys, windows, earliest) %}
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
            and windows.last_request_us > {{ earliest }} - {{ window_us() }}
            and {{ keys }}.restart_us >= windows.first_request_us
            and {{ keys }}.restart_us < windows.last_request_us + {{ window_us() }}
    group by {{ keys }}.source_class, {{ keys }}.listener_key, {{ keys }}.episode_key
{% endmacro %}
