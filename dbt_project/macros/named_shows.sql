{#
  The ids of shows that a list of the operator or a registration names, as a query: none of them is a podcast's only
  because its podcast:guid says so.
#}
{% macro named_shows(listed, registered) -%}
    select show_id from {{ listed }}
    where show_id is not null
    union
    select show_id from {{ registered }}
    where show_id is not null
{%- endmacro %}
