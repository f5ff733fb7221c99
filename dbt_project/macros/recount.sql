{# What is counted now: everything at first, then what int_recounted_requests holds. #}
{% macro requests_to_count() %}
    {{ return(ref('int_requests') if builds_from_scratch() else ref('int_recounted_requests')) }}
{% endmacro %}

{#
  True for a batch as they come all day: few new requests, and nothing that was counted before moves. Then
  int_download_windows finds its requests and counts them in one statement, and nothing of them is written down
  between († 0.30 instead of 0.40 CPU-s for 40,000 requests). More of them would have to be held in memory.
#}
{% macro counts_at_once() %}
    {% if execute and not builds_from_scratch() %}
        {% set asked = 'select (' ~ few_requests() ~ ') and not exists (' ~ moved_before() ~ ')' %}
        {{ return(run_query(asked).rows[0][0]) }}
    {% endif %}
    {{ return(false) }}
{% endmacro %}

{# What requests_to_recount and counts_at_once read: for dbt, which sees no reference that only runs make. #}
{% macro needed_at_once() %}
-- depends_on: {{ ref('stg_lake__files') }}, {{ ref('int_new_files') }}, {{ ref('int_listener_updates') }}
-- depends_on: {{ ref('int_changed_enclosures') }}, {{ ref('stg_lake__requests') }}, {{ ref('int_enclosures') }}
-- depends_on: {{ ref('int_listener_links') }}
{% endmacro %}

{#
  Rows where the catalogue, the rules or a listener's older key moves requests that were counted before. Of an
  enclosure that was first asked for after all of the older files nothing was.
#}
{% macro moved_before() %}
    select 1 from {{ ref('int_new_files') }} where is_restated
    union all
    select 1 from {{ ref('int_listener_updates') }} where not is_new
    union all
    select 1 from {{ ref('int_changed_enclosures') }}
    where first_requested_us <= (
        select max(older.last_us)
        from {{ ref('stg_lake__files') }} as older
        where
            older.status = 'taken'
            and not exists (
                select 1 from {{ ref('int_new_files') }} as new_files
                where older.source = new_files.source and older.file_id = new_files.file_id
            )
    )
{% endmacro %}

{#
  The requests of the keys whose counting restarts, from their restart on: the days that may have some are read
  once, and nearly all rows of theirs go by their listener alone, before anything is looked up for them
  († 0.15 instead of 0.45 CPU-s for 40,000 new requests beside the 610,000 of the last day and a half).
#}
{% macro requests_to_recount(restarts) %}
    {% set lines %}
        (
            with listeners as (

                select
                    listener_key,
                    min(restart_us) as restart_us
                from {{ restarts }}
                group by listener_key

            ),

            logged as (

                select
                    listener_key,
                    restart_us
                from listeners
                union all
                select
                    links.listener_key,
                    listeners.restart_us
                from {{ ref('int_listener_links') }} as links
                inner join listeners
                    on links.canonical_listener_key = listeners.listener_key

            ),

            logged_once as (

                select
                    listener_key,
                    min(restart_us) as restart_us
                from logged
                group by listener_key

            )

            select requests.*
            from {{ ref('stg_lake__requests') }} as requests
            inner join logged_once
                on
                    requests.listener_key = logged_once.listener_key
                    and requests.started_us >= logged_once.restart_us
            where {{ may_be_recounted('requests.day', restarts) }}
        )
    {% endset %}
    select requests.*
    from (
        {{ described_requests(lines) }}
    ) as requests
    inner join {{ restarts }} as restarts
        on
            {{ same_key('requests', 'restarts') }}
            and requests.started_us >= restarts.restart_us
{% endmacro %}

{#
  True for the UTC days that may have requests to count again, as literals, so that the lake prunes folders. What
  was counted stands in windows: beside the days of the new files those of the restarting keys' windows, wherever
  in history they lie. Where the catalogue or the rules moved requests the windows do not tell: all from the first.
#}
{% macro may_be_recounted(column, restarts) %}
    {% if execute and not builds_from_scratch() %}
        {% if run_query(moved_before() ~ ' limit 1').rows | length %}
            {{ return(column ~ ' >= ' ~ date_literals('select min(restart_day) from ' ~ restarts)) }}
        {% endif %}
        {# From one of the lake's last two days on, these are they; no window is asked († 0.007 of 0.25 CPU-s). #}
        {% set ends %}
            select
                {{ us_to_date('(select min(restart_us) from ' ~ restarts ~ ')') }} as first_day,
                {{ us_to_date('max(last_us)') }} as last_day
            from {{ ref('stg_lake__files') }}
            where status = 'taken'
            having count(last_us) = count(*)
        {% endset %}
        {% set found = run_query('select first_day, last_day from (' ~ ends ~ ') as ends where last_day - first_day <= 1').rows %}
        {% if found | length %}
            {{ return(column ~ " in (cast('" ~ found[0][0] ~ "' as date), cast('" ~ found[0][1] ~ "' as date))") }}
        {% endif %}
        {% set days %}
            select day from {{ ref('int_new_files') }}
            union
            select counted.date + shift.days
            from ({{ recounted_dates(restarts) }}) as counted
            -- A date of another time zone begins the day before, or ends the day after.
            cross join (values (0){% if time_zone() != 'UTC' %}, (-1), (1){% endif %}) as shift (days)
        {% endset %}
        {{ return(column ~ ' in (' ~ date_literals(days) ~ ')') }}
    {% endif %}
    {{ return('false') }}
{% endmacro %}

{# The dates of the windows that stand from the restarts on: whether this build has counted them again or not yet. #}
{% macro recounted_dates(restarts) %}
    select distinct windows.date
    from {{ remembered('int_download_windows') }} as windows
    inner join {{ restarts }} as restarts
        on
            {{ same_key('windows', 'restarts') }}
            and windows.last_request_us >= restarts.restart_us
    where windows.is_calendar and windows.last_request_us >= {{ first_restart_us() }}
{% endmacro %}

{#
  No request that is counted anew or for the first time started before this instant; 0 when a listener's older key
  moves what was counted long ago; the last instant of all when nothing is (else a build of nothing read all windows:
  † 0.7 CPU-s at 30 days).
#}
{% macro first_new_us() %}
    {% if execute and not builds_from_scratch() %}
        {% set first %}
            select least(
                (
                    select min(coalesce(files.first_us, 0))
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
        {% if rows | length %}
            {{ return((rows[0][0] if rows[0][0] is not none else 9223372036854775807) | string) }}
        {% endif %}
    {% endif %}
    {{ return('0') }}
{% endmacro %}

{# The first event day with requests of enclosures that changed, as a literal; none when none did. #}
{% macro first_moved_day() %}
    {% if execute and not builds_from_scratch() %}
        {% set first = 'select min(first_requested_us) as first_us from ' ~ ref('int_changed_enclosures') %}
        {% set day = 'select ' ~ us_to_date('first_us') ~ ' from (' ~ first ~ ') as first' %}
        {% set found = run_query(day).rows[0][0] %}
        {{ return("cast('" ~ found ~ "' as date)" if found is not none else none) }}
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
