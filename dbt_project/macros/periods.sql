{#
  Where the hour, day, ISO week (Monday) or month of an instant begins in a time zone: local wall-clock time.
  `instant` is a UTC timestamp without zone, as in the marts; of epoch microseconds: us_to_timestamp(column).
  Where the clock is turned back two hours bear the same name: group hours by period_start_utc too.
#}
{% macro period_start(instant, grain, zone='UTC') -%}
    {%- set grains = ['hour', 'day', 'week', 'month'] -%}
    {%- if grain not in grains -%}
        {{ exceptions.raise_compiler_error("period '" ~ grain ~ "'; allowed: " ~ grains | join(', ')) }}
    {%- endif -%}
    cast(date_trunc('{{ grain }}', {{ at_zone(instant, zone) }}) as timestamp)
{%- endmacro %}

{# The same start as a UTC timestamp. No clock is turned within a local hour, so hours are exact. #}
{% macro period_start_utc(instant, grain, zone='UTC') -%}
    ({{ instant }} - ({{ at_zone(instant, zone) }} - {{ period_start(instant, grain, zone) }}))
{%- endmacro %}

{# UTC timestamp without zone to the wall-clock time of `zone`. #}
{% macro at_zone(instant, zone) -%}
    {%- if zone == 'UTC' -%}
        {{ return(instant) }}
    {%- endif -%}
    {{ return(adapter.dispatch('at_zone', 'earshot')(instant, zone | replace("'", "''"))) }}
{%- endmacro %}
{% macro default__at_zone(instant, zone) %}from_utc_timestamp({{ instant }}, '{{ zone }}'){% endmacro %}
{% macro duckdb__at_zone(instant, zone) %}timezone('{{ zone }}', timezone('UTC', {{ instant }})){% endmacro %}

{# The first day of the ISO week or month a date lies in. #}
{% macro first_day(column, grain) %}cast(date_trunc('{{ grain }}', {{ column }}) as date){% endmacro %}

{# Every date from `first` to `last`, one row a date. #}
{% macro each_date(first, last) %}{{ return(adapter.dispatch('each_date', 'earshot')(first, last)) }}{% endmacro %}
{% macro default__each_date(first, last) %}explode(sequence({{ first }}, {{ last }})){% endmacro %}
{% macro duckdb__each_date(first, last) -%}
    cast(unnest(generate_series({{ first }}, {{ last }}, interval 1 day)) as date)
{%- endmacro %}

{# The lake's days (UTC) that hold events of the dates in `relation` (column `day`), as date literals. #}
{% macro lake_days(relation) %}
    {{ return(date_literals(
        'select distinct cast(days.day + around.days as date) from ' ~ relation ~ ' as days'
        ~ ' cross join (select 0 as days'
        ~ ('' if time_zone() == 'UTC' else ' union all select -1 as days union all select 1 as days')
        ~ ') as around'
    )) }}
{% endmacro %}

{# The distinct values of a column as one text, in order. #}
{% macro text_list(column) %}{{ return(adapter.dispatch('text_list', 'earshot')(column)) }}{% endmacro %}
{% macro default__text_list(column) %}array_join(array_sort(collect_set({{ column }})), ', '){% endmacro %}
{% macro duckdb__text_list(column) %}string_agg(distinct {{ column }}, ', ' order by {{ column }}){% endmacro %}
