{# The published download window (IAB 2.3 §5.5.1): calendar, first_touch or last_touch. #}
{% macro window_rule() -%}
    {%- set rule = env_var('EARSHOT_WINDOW', 'calendar') -%}
    {%- if rule not in ['calendar', 'first_touch', 'last_touch'] -%}
        {{ exceptions.raise_compiler_error("EARSHOT_WINDOW is '" ~ rule ~ "'; allowed: calendar, first_touch, last_touch") }}
    {%- endif -%}
    {{ rule }}
{%- endmacro %}

{# A window lasts 24 hours, half-open (R22 to R24). #}
{% macro window_us() %}86400000000{% endmacro %}

{# R13 without any evidence: one minute at 128 kbit/s. #}
{% macro default_threshold_bytes() %}960000{% endmacro %}
