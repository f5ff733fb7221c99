{# The few places where engines differ. Everything else in this project is SQL that DuckDB and Spark 4 share. #}

{# Rows of a list column, one row an element. #}
{% macro explode(column) %}{{ return(adapter.dispatch('explode', 'earshot')(column)) }}{% endmacro %}
{% macro default__explode(column) %}explode({{ column }}){% endmacro %}
{% macro duckdb__explode(column) %}unnest({{ column }}){% endmacro %}

{# Epoch microseconds to a UTC timestamp without zone. #}
{% macro us_to_timestamp(column) %}{{ return(adapter.dispatch('us_to_timestamp', 'earshot')(column)) }}{% endmacro %}
{% macro default__us_to_timestamp(column) %}timestamp_micros({{ column }}){% endmacro %}
{% macro duckdb__us_to_timestamp(column) %}make_timestamp({{ column }}){% endmacro %}

{# Epoch microseconds to the UTC date. #}
{% macro us_to_date(column) %}cast({{ us_to_timestamp(column) }} as date){% endmacro %}

{# UTC timestamp without zone to that of EARSHOT_TIME_ZONE. #}
{% macro local_time(column) %}{{ at_zone(column, time_zone()) }}{% endmacro %}

{# Epoch microseconds to the date in EARSHOT_TIME_ZONE. #}
{% macro us_to_local_date(column) %}cast({{ local_time(us_to_timestamp(column)) }} as date){% endmacro %}

{# Integer division that floors; the operands are never negative here. #}
{% macro int_div(left, right) %}{{ return(adapter.dispatch('int_div', 'earshot')(left, right)) }}{% endmacro %}
{% macro default__int_div(left, right) %}({{ left }} div {{ right }}){% endmacro %}
{% macro duckdb__int_div(left, right) %}({{ left }} // {{ right }}){% endmacro %}
