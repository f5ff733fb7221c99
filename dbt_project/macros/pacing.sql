{# Days since publication at which episodes are compared, ascending: split it at the commas. #}
{% macro pacing_ages() %}1, 3, 7, 14, 30, 60, 90{% endmacro %}

{#
  A quartile of whole numbers by linear interpolation (0.25, 0.5 or 0.75): always a multiple of 1/4, which a
  double holds exactly, so that it does not depend on engine or order.
#}
{% macro quartile(share, column) -%}
    percentile_cont({{ share }}) within group (order by {{ column }})
{%- endmacro %}
