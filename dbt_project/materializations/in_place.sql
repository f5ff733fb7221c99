{#
  dbt's own materializations without what DuckDB does not need: `create or replace` is atomic there, so nothing
  is made beside, renamed and dropped († 98 instead of 192 statements for the 21 models of a build of nothing).
  Of hooks only those after a table, in its transaction, and no grants: the project has none. On other engines dbt's
  own ones run.
#}

{% materialization table, adapter='duckdb', supported_languages=['sql', 'python'] %}
    {% set target = in_place_of_another(this.incorporate(type='table')) %}
    {% if model['language'] == 'python' %}
        {% call statement('main', language='python') %}
            {{- replace_table_by_frame(target, compiled_code) }}
        {%- endcall %}
    {% else %}
        {% call statement('main') %}
            {{ replace_table(target, sql) }}
        {% endcall %}
    {% endif %}
    {% do persist_comments(target) %}
    {{ run_hooks(post_hooks) }}
    {% do adapter.commit() %}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}

{% materialization view, adapter='duckdb' %}
    {% set target = in_place_of_another(this.incorporate(type='view')) %}
    {% call statement('main') %}
        {% if config.get('contract').enforced %}
            {{ get_assert_columns_equivalent(sql) }}
        {% endif %}
        create or replace view {{ target }} as (
            {{ sql }}
        )
    {% endcall %}
    {% do persist_comments(target) %}
    {% do adapter.commit() %}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}

{% materialization incremental, adapter='duckdb' %}
    {% set existing = load_cached_relation(this) %}
    {% set target = in_place_of_another(this.incorporate(type='table')) %}
    {% if existing is none or existing.is_view or should_full_refresh() %}
        {% call statement('main') %}
            {{ replace_table(target, sql) }}
        {% endcall %}
    {% else %}
        {% set name = config.get('incremental_strategy') %}
        {% set strategy = adapter.get_incremental_strategy_macro(context, name) %}
        {% set columns = adapter.get_columns_in_relation(existing) %}
        {% set is_in_one = may_insert_what_it_reads(name, columns) %}
        {% set batch = '(' ~ sql ~ ')' if is_in_one else make_temp_relation(target) %}
        {% if not is_in_one %}
            {% call statement('batch') %}
                {{ create_table_as(true, batch, sql) }}
            {% endcall %}
            {% set changed = process_schema_changes(config.get('on_schema_change'), batch, existing) %}
            {% set columns = changed or columns %}
        {% endif %}
        {% call statement('main') %}
            {{ strategy({
                'target_relation': target,
                'temp_relation': batch,
                'unique_key': config.get('unique_key'),
                'dest_columns': columns,
                'incremental_predicates': none,
            }) }};
            {% if not is_in_one %}drop table {{ batch }}{% endif %}
        {% endcall %}
    {% endif %}
    {% do persist_comments(target) %}
    {% do adapter.commit() %}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}

{#
  May the strategy insert what the model's SQL reads, with nothing written down between († a tenth of what writing
  the windows of a batch costs)? Where that SQL reads nothing that the strategy deletes, and the columns are those
  of the contract.
#}
{% macro may_insert_what_it_reads(strategy, columns) %}
    {% set contract = model.columns.keys() | map('lower') | sort | list if config.get('contract').enforced else [] %}
    {{ return(
        strategy == 'restart_windows' and contract == columns | map(attribute='name') | map('lower') | sort | list
    ) }}
{% endmacro %}

{# `relation`, once what has its name and is of another kind is gone: nothing replaces a view by a table. #}
{% macro in_place_of_another(relation) %}
    {% set existing = load_cached_relation(relation) %}
    {% if existing is not none and existing.type != relation.type %}
        {% do adapter.drop_relation(existing) %}
    {% endif %}
    {{ return(relation) }}
{% endmacro %}

{% macro replace_table(relation, sql) %}
    {% if config.get('contract').enforced %}
        {{ get_assert_columns_equivalent(sql) }}
        create or replace table {{ relation }} {{ get_table_columns_and_constraints() }};
        insert into {{ relation }} {{ get_column_names() }} (
            {{ get_select_subquery(sql) }}
        )
    {% else %}
        create or replace table {{ relation }} as (
            {{ sql }}
        )
    {% endif %}
{% endmacro %}

{#
  A Python model returns a Polars frame. It reaches DuckDB as a Parquet file, which needs no pyarrow and keeps the
  types. The table that is there stays until the frame is made.
#}
{% macro replace_table_by_frame(relation, compiled_code) %}
{{ compiled_code }}

def materialize(df, con):
    import pathlib
    import tempfile

    with tempfile.TemporaryDirectory(prefix="earshot-") as folder:
        rows = pathlib.Path(folder) / "rows.parquet"
        df.write_parquet(rows)
        con.execute(
            {{ ('create or replace table ' ~ relation ~ ' as select * from read_parquet(?)') | tojson }},
            [str(rows)],
        )
{% endmacro %}

{#
  The descriptions of a relation, and of its columns where a contract vouches for these: all in one statement.
#}
{% macro persist_comments(relation) %}
    {% if config.persist_relation_docs() and model.description %}
        {% call statement('comments') %}
            {{ alter_relation_comment(relation, model.description) }}
            {% if config.persist_column_docs() and config.get('contract').enforced %}
                {% for name, column in model.columns.items() if column.description %}
                    comment on column {{ relation }}.{{ name }}
                    is {{ duckdb_escape_comment(column.description) }};
                {% endfor %}
            {% endif %}
        {% endcall %}
    {% endif %}
{% endmacro %}
