{# The published download window (IAB 2.3 §5.5.1): calendar, first_touch or last_touch. #}
{% macro window_rule() -%}
    {%- set rule = env_var('EARSHOT_WINDOW', 'calendar') -%}
    {%- if rule not in window_rules().split() -%}
        {{ exceptions.raise_compiler_error("EARSHOT_WINDOW is '" ~ rule ~ "'; allowed: " ~ window_rules().split() | join(', ')) }}
    {%- endif -%}
    {{ rule }}
{%- endmacro %}

{# All of them, to be split: the marts hold a measure for each (R22 to R24). #}
{% macro window_rules() -%}calendar first_touch last_touch{%- endmacro %}

{# Is this row of int_download_windows a window under the published rule? #}
{% macro published() %}is_{{ window_rule() }}{% endmacro %}

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

{# R35: within this share of the larger count, two sources agree. #}
{% macro reconciliation_tolerance() -%}
    {{ _positive('EARSHOT_RECONCILIATION_TOLERANCE', '0.05') }}
{%- endmacro %}

{# A difference in fewer downloads than these is chance. #}
{% macro reconciliation_min_downloads() %}20{% endmacro %}

{# R12: how far above the median of the day (in scaled MADs), and from how many downloads on, to flag. #}
{% macro flag_mads() -%}
    {{ _positive('EARSHOT_FLAG_MADS', '6') }}
{%- endmacro %}
{% macro flag_min_downloads() -%}
    {{ _positive('EARSHOT_FLAG_MIN_DOWNLOADS', '50', at_least=least_flagged_downloads()) }}
{%- endmacro %}
{% macro least_flagged_downloads() %}10{% endmacro %}

{% macro _positive(setting, default, at_least='0') -%}
    {%- set value = env_var(setting, default) -%}
    {%- if not (value | float(0) > 0 and value | float(0) >= at_least | float) -%}
        {{ exceptions.raise_compiler_error(
            setting ~ " is '" ~ value ~ "'; allowed: numbers above 0" ~ (", from " ~ at_least ~ " on" if at_least != '0' else '')
        ) }}
    {%- endif -%}
    {{ value | float }}
{%- endmacro %}
