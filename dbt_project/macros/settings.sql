{# The published download window (IAB 2.3 §5.5.1): calendar, first_touch or last_touch. #}
{% macro window_rule() -%}
    {%- set rule = env_var('EARSHOT_WINDOW', 'calendar') -%}
    {%- if rule not in window_rules() -%}
        {{ exceptions.raise_compiler_error("EARSHOT_WINDOW is '" ~ rule ~ "'; allowed: " ~ window_rules() | join(', ')) }}
    {%- endif -%}
    {{ rule }}
{%- endmacro %}

{# All of them: the marts hold a measure for each (R22 to R24). #}
{% macro window_rules() %}{{ return(['calendar', 'first_touch', 'last_touch']) }}{% endmacro %}

{# Is this row of int_download_windows a window under the published rule? #}
{% macro published(relation) %}{{ relation }}.is_{{ window_rule() }}{% endmacro %}

{# Where a calendar day, and every date of the marts, begins. #}
{% macro time_zone() -%}
    {{ env_var('EARSHOT_TIME_ZONE', 'UTC') }}
{%- endmacro %}

{# A window lasts 24 hours, half-open (R22 to R24). #}
{% macro window_us() %}86400000000{% endmacro %}

{# R13 without any evidence: one minute at 128 kbit/s. #}
{% macro default_threshold_bytes() %}960000{% endmacro %}

{# The settings that change what a counted file brought: under others it is counted again. #}
{% macro counted_under() -%}
    {{ window_rule() }} {{ time_zone() }}
{%- endmacro %}
