{#
  The windows of `requests` (SQL of rows as described_requests gives them): where they begin and end, under which
  rules, and what their requests come to.
#}
{% macro windows_of(requests) %}
-- What counting needs, and no more: it is kept in memory. The rest is read again at the end.
with recursive qualifying as (

    select
        line_key,
        request_key,
        source_class,
        listener_key,
        episode_key,
        started_us,
        served_bytes,
        content_first,
        content_last,
        threshold_bytes,
        {{ threshold_source_number('threshold_source') }} as threshold_source_number,
        is_first_two,
        is_comparable
    from {{ requests }}
    where exclusion_reason is null

),

-- One hash aggregate over everything; what needs care (several requests) is looked at again below.
by_key as (

    select
        qualifying.source_class,
        qualifying.listener_key,
        qualifying.episode_key,
        {{ window_facts('qualifying') }}
    from qualifying
    group by qualifying.source_class, qualifying.listener_key, qualifying.episode_key

),

spans as (

    select
        *,
        {{ us_to_local_date('first_request_us') }} = {{ us_to_local_date('last_request_us') }}
        and last_request_us < first_request_us + {{ window_us() }} as is_one_window
    from by_key

),

{{ find_runs('qualifying') }},

-- Keys with several windows: the same facts, window by window.
several_windows as (

    select
        runs.source_class,
        runs.listener_key,
        runs.episode_key,
        {{ window_facts('qualifying') }},
        {% for rule in window_rules().split() %}
            runs.is_{{ rule }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from qualifying
    inner join runs
        on
            {{ same_key('runs', 'qualifying') }}
            and runs.first_request_us <= qualifying.started_us
            and runs.last_request_us >= qualifying.started_us
    group by
        runs.source_class,
        runs.listener_key,
        runs.episode_key,
        runs.first_request_us,
        runs.last_request_us,
        {% for rule in window_rules().split() %}
            runs.is_{{ rule }}{% if not loop.last %},{% endif %}
        {% endfor %}

),

-- One number names a window: what is grouped and sorted by it below would be by five columns († three times
-- the work). Runs of one key may share their first line, hence numbers of their own.
counted as (

    select
        spans.* exclude (spans.is_one_window),
        {% for rule in window_rules().split() %}
            true as is_{{ rule }},
        {% endfor %}
        spans.line_key as window_number
    from spans
    where spans.is_one_window
    union all
    select
        *,
        -row_number() over (order by {{ window_key() }}, first_request_us, last_request_us) as window_number
    from several_windows

),

grouped as (

    select
        counted.* exclude (counted.ends, counted.keys, counted.more_keys),
        {{ facts_suffice('counted') }} as is_told
    from counted

),

{{ each_request_once('grouped', 'qualifying', 'window_number', 'not grouped.is_told') }},

{{ unite_ranges('delivered_once', 'window_number') }},

final as (

    select
        grouped.source_class,
        grouped.listener_key,
        grouped.episode_key,
        grouped.first_request_us,
        grouped.last_request_us,
        {{ us_to_local_date('grouped.first_request_us') }} as date,
        {% for rule in window_rules().split() %}
            grouped.is_{{ rule }},
        {% endfor %}
        grouped.line_key,
        grouped.only_comparable = 1 as is_comparable,
        grouped.only_first_two = 1 as is_first_two,
        case when grouped.source_class = 'server_log' then grouped.threshold_bytes end as threshold_bytes,
        case
            when grouped.source_class = 'server_log'
                then {{ threshold_source_name('grouped.threshold_source_number') }}
        end as threshold_source,
        cast(coalesce(united.requests, grouped.lines) as bigint) as requests,
        cast(coalesce(united.served_bytes, grouped.served_bytes) as bigint) as served_bytes,
        cast(
            coalesce(united.content_bytes, grouped.content_end - grouped.content_first) as bigint
        ) as content_bytes
    from grouped
    left join united
        on grouped.window_number = united.window_number

)

select
    *,
    -- R13 where bytes are seen; a prefix counts requests (R32).
    source_class = 'prefix' or content_bytes >= threshold_bytes as is_counted
from final
{% endmacro %}

{#
  What int_recounted_windows tells. In a build of very many requests it is written down first, so that what counting
  holds is let go of before the windows are described: both together are more than the memory DuckDB may use, and it
  would write every request to the disk once more († 19.5 M: 58 → 49 CPU-s, 41 → 30 s; 4.9 M, which fit: 4.8 → 5.3).
  Gone with this model's connection.
#}
{% macro recounted_windows() %}
    {% set windows = ref('int_recounted_windows') %}
    {# Not where the model's text alone is asked for. #}
    {% set builds = execute and flags.WHICH in ('run', 'build') %}
    {% if builds and not run_query(few_requests(env_var('EARSHOT_COUNT_APART', '8000000'))).rows[0][0] %}
        {% do run_query('create or replace temporary table recounted_windows as select * from ' ~ windows) %}
        {{ return('recounted_windows') }}
    {% endif %}
    {{ return(windows) }}
{% endmacro %}
