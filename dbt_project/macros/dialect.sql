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

{# The UTC start of a date as epoch microseconds. #}
{% macro date_to_us(column) %}{{ return(adapter.dispatch('date_to_us', 'earshot')(column)) }}{% endmacro %}
{% macro default__date_to_us(column) %}(unix_date({{ column }}) * 86400000000){% endmacro %}
{% macro duckdb__date_to_us(column) %}(({{ column }} - cast('1970-01-01' as date)) * 86400000000){% endmacro %}

{# UTC timestamp without zone to that of EARSHOT_TIME_ZONE. #}
{% macro local_time(column) %}{{ at_zone(column, time_zone()) }}{% endmacro %}

{# Epoch microseconds to the date in EARSHOT_TIME_ZONE. #}
{% macro us_to_local_date(column) %}cast({{ local_time(us_to_timestamp(column)) }} as date){% endmacro %}

{# Integer division that floors; the operands are never negative here. #}
{% macro int_div(left, right) %}{{ return(adapter.dispatch('int_div', 'earshot')(left, right)) }}{% endmacro %}
{% macro default__int_div(left, right) %}({{ left }} div {{ right }}){% endmacro %}
{% macro duckdb__int_div(left, right) %}({{ left }} // {{ right }}){% endmacro %}

{# 64 bits that a number leaves no trace in: of a query, never kept. #}
{% macro hashed(column) %}{{ return(adapter.dispatch('hashed', 'earshot')(column)) }}{% endmacro %}
{% macro default__hashed(column) %}xxhash64({{ column }}){% endmacro %}
{% macro duckdb__hashed(column) %}hash({{ column }}){% endmacro %}

{# 64 bits, one of them set: that of a number from 0 to 63. #}
{% macro one_bit(number) %}{{ return(adapter.dispatch('one_bit', 'earshot')(number)) }}{% endmacro %}
{% macro default__one_bit(number) %}shiftleft(cast(1 as bigint), cast({{ number }} as int)){% endmacro %}
{% macro duckdb__one_bit(number) %}(cast(1 as ubigint) << cast({{ number }} as ubigint)){% endmacro %}

{# The bits in which two differ. #}
{% macro bits_xor(left, right) %}{{ return(adapter.dispatch('bits_xor', 'earshot')(left, right)) }}{% endmacro %}
{% macro default__bits_xor(left, right) %}({{ left }} ^ {{ right }}){% endmacro %}
{% macro duckdb__bits_xor(left, right) %}xor({{ left }}, {{ right }}){% endmacro %}

{# Files of the lake that match a pattern below its root, in a column `file`; asked while a model is compiled. #}
{% macro files_like(pattern) %}{{ return(adapter.dispatch('files_like', 'earshot')(pattern)) }}{% endmacro %}
{% macro default__files_like(pattern) -%}
    (select distinct _metadata.file_path as file from binaryfile.`{{ lake_root() }}/{{ pattern }}`)
{%- endmacro %}
{% macro duckdb__files_like(pattern) %}glob('{{ lake_root() }}/{{ pattern }}'){% endmacro %}

{# Parquet files as a relation; at least one. #}
{% macro parquet_files(files) %}{{ return(adapter.dispatch('parquet_files', 'earshot')(files)) }}{% endmacro %}
{% macro default__parquet_files(files) %}parquet.`{{ '{' ~ files | join(',') ~ '}' }}`{% endmacro %}
{% macro duckdb__parquet_files(files) -%}
    read_parquet(['{{ files | join("', '") }}'], hive_partitioning = false)
{%- endmacro %}

{# A JSON text as a struct (`fields`: SQL types by name) or, with `is_list`, as a list of such structs. #}
{% macro parsed_json(column, fields, is_list=false) -%}
    {{ return(adapter.dispatch('parsed_json', 'earshot')(column, fields, is_list)) }}
{%- endmacro %}
{% macro default__parsed_json(column, fields, is_list) -%}
    {%- set members = [] -%}
    {%- for name, type in fields.items() %}{% do members.append(name ~ ': ' ~ type) %}{% endfor -%}
    {%- set shape = 'struct<' ~ members | join(', ') ~ '>' -%}
    from_json({{ column }}, '{{ "array<" ~ shape ~ ">" if is_list else shape }}')
{%- endmacro %}
{% macro duckdb__parsed_json(column, fields, is_list) -%}
    {%- set shape = tojson(fields) -%}
    from_json({{ column }}, '{{ "[" ~ shape ~ "]" if is_list else shape }}')
{%- endmacro %}

{# A list of texts as one text. #}
{% macro list_text(column, separator) %}{{ return(adapter.dispatch('list_text', 'earshot')(column, separator)) }}{% endmacro %}
{% macro default__list_text(column, separator) %}array_join({{ column }}, '{{ separator }}'){% endmacro %}
{% macro duckdb__list_text(column, separator) %}array_to_string({{ column }}, '{{ separator }}'){% endmacro %}

{# The type of a list of texts. #}
{% macro text_list_type() %}{{ return(adapter.dispatch('text_list_type', 'earshot')()) }}{% endmacro %}
{% macro default__text_list_type() %}array<string>{% endmacro %}
{% macro duckdb__text_list_type() %}varchar[]{% endmacro %}

{# Does a list hold a value? #}
{% macro holds(column, value) %}{{ return(adapter.dispatch('holds', 'earshot')(column, value)) }}{% endmacro %}
{% macro default__holds(column, value) %}array_contains({{ column }}, {{ value }}){% endmacro %}
{% macro duckdb__holds(column, value) %}list_contains({{ column }}, {{ value }}){% endmacro %}

{# A text with the names before the @ of e-mail addresses taken out. #}
{% macro without_emails(column) %}{{ return(adapter.dispatch('without_emails', 'earshot')(column)) }}{% endmacro %}
{% macro default__without_emails(column) %}regexp_replace({{ column }}, '{{ _before_at() }}', '***@'){% endmacro %}
{% macro duckdb__without_emails(column) %}regexp_replace({{ column }}, '{{ _before_at() }}', '***@', 'g'){% endmacro %}
{% macro _before_at() %}[A-Za-z0-9._%+-]+@{% endmacro %}

{# The lake's folder, as the sources name it. #}
{% macro lake_root() %}{{ env_var('EARSHOT_LAKE', '.earshot/lake') }}{% endmacro %}
