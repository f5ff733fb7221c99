{#
  Marts that are made anew as a whole, beside keys that are forgotten for their age (orchestration/forgetting.py):
  what lies before the first day of which all keys are there keeps the figures it has.
#}

{# After this instant all downloads have their keys; none while none was forgotten. #}
{% macro last_forgotten_us() %}
    {% set windows = remembered('int_download_windows') %}
    {% if windows is not none and not flags.FULL_REFRESH %}
        {% set found = run_query('select max(last_request_us) from ' ~ windows ~ ' where key_epoch < 0').rows %}
        {% if found[0][0] is not none %}{{ return(found[0][0] | int) }}{% endif %}
    {% endif %}
    {{ return(none) }}
{% endmacro %}

{# The first whole date after it, and `days` more, as SQL. #}
{% macro first_keyed_date(days=0) %}
    {% set forgotten_us = last_forgotten_us() %}
    {% if forgotten_us is none %}{{ return(none) }}{% endif %}
    {{ return('(' ~ us_to_local_date(forgotten_us) ~ ' + ' ~ (days + 1) ~ ')') }}
{% endmacro %}

{# Periods that begin later are replaced. #}
{% macro get_incremental_kept_periods_sql(arg_dict) %}
    {% set first = first_keyed_date() %}
    {{ _replace_rows(arg_dict, 'period_start >= ' ~ first if first is not none else 'true') }}
{% endmacro %}

{# Weeks are replaced that have the look-back of attribution before them. #}
{% macro get_incremental_kept_weeks_sql(arg_dict) %}
    {% set first = first_keyed_date(look_back_us() | int // 86400000000) %}
    {{ _replace_rows(arg_dict, 'week >= ' ~ first if first is not none else 'true') }}
{% endmacro %}

{# Collaborations are replaced that have it before them, those that are no more removed, new ones added. #}
{% macro get_incremental_kept_collaborations_sql(arg_dict) %}
    {% set forgotten_us = last_forgotten_us() %}
    {% set stays %}
        select target_id from {{ ref('int_collaborations') }}
        where not is_placebo and starts_us - {{ look_back_us() }} <= {{ forgotten_us or 0 }}
        intersect
        select collaboration_id from {{ arg_dict['target_relation'] }}
    {% endset %}
    {{ _replace_rows(arg_dict, 'collaboration_id not in (' ~ stays ~ ')' if forgotten_us is not none else 'true') }}
{% endmacro %}

{% macro _replace_rows(arg_dict, is_replaced) %}
    {% set columns = arg_dict['dest_columns'] | map(attribute='quoted') | join(', ') %}

    create or replace temporary table rows_replaced as
    select {{ columns }} from {{ arg_dict['temp_relation'] }} where {{ is_replaced }};

    delete from {{ arg_dict['target_relation'] }} where {{ is_replaced }};

    insert into {{ arg_dict['target_relation'] }} ({{ columns }})
    select {{ columns }} from rows_replaced
{% endmacro %}
