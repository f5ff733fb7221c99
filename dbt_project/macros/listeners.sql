{# The UTC days of the key epochs (30 days each, counted from 1970) in `relation`, as date literals. #}
{% macro listener_days(relation) %}
    {{ return(date_literals(
        "select cast('1970-01-01' as date) + cast(epochs.key_epoch * 30 + days.day as integer)"
        ~ " from (select distinct key_epoch from " ~ relation ~ ") as epochs"
        ~ " cross join (select " ~ explode('range(30)') ~ " as day) as days"
    )) }}
{% endmacro %}

{#
  Keys a chain of 30-day secrets follows at most: 210 days (DESIGN, Privacy), however long a listener stays.
#}
{% macro max_key_epochs() %}7{% endmacro %}
