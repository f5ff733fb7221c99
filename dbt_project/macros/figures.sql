{# The same date, source class, show and reason on both sides; null is a value like any other. #}
{% macro same_figure(left, right) -%}
    {{ left }}.date = {{ right }}.date
    and {{ left }}.source_class = {{ right }}.source_class
    and {{ left }}.show_id is not distinct from {{ right }}.show_id
    and {{ left }}.reason is not distinct from {{ right }}.reason
{%- endmacro %}
