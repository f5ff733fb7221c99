{#
  What the last complete build had counted. Those two tables are written last, so a build that was killed
  is simply done again: every model in between gives the same rows when it is repeated.
#}

{# The relation in which `model` remembers the last complete build, or none before the first one. #}
{% macro remembered(model) %}
    {% if execute %}
        {{ return(adapter.get_relation(this.database, 'intermediate', model)) }}
    {% endif %}
    {{ return(none) }}
{% endmacro %}

{# Whether a remembered model has a column: one of an earlier version may not. #}
{% macro has_column(relation, column) %}
    {% if execute and relation is not none %}
        {% set columns = adapter.get_columns_in_relation(relation) | map(attribute='name') | list %}
        {{ return(column in columns) }}
    {% endif %}
    {{ return(false) }}
{% endmacro %}

{# Has a build under other settings counted last, or begun to and died? #}
{% macro is_under_other_settings() %}
    {% for model in ['int_counted_files', 'int_started_under'] if execute %}
        {% set known = remembered(model) %}
        {% if known is not none %}
            {% set others = run_query("select count(*) from " ~ known ~ " where counted_under <> '" ~ counted_under() ~ "'") %}
            {% if others.rows[0][0] > 0 %}{{ return(true) }}{% endif %}
        {% endif %}
    {% endfor %}
    {{ return(false) }}
{% endmacro %}

{#
  True when this build starts from nothing, so that reading "what is new" would only copy everything. Also after a
  first build that died: under which catalogue and listeners its windows were counted nothing remembers.
#}
{% macro builds_from_scratch() %}
    {% set windows, complete = remembered('int_download_windows'), remembered('int_counted_files') %}
    {{ return(flags.FULL_REFRESH or windows is none or complete is none) }}
{% endmacro %}

{#
  True for the rows of the new files, as literals where they are few: then only their row groups are read.
  It narrows a join with int_new_files and never stands for it.
#}
{% macro may_be_new(column) %}
    {% if execute %}
        {% set files = run_query('select distinct file_id from ' ~ ref('int_new_files') ~ ' order by 1 limit 201') %}
        {% if 0 < files.rows | length <= 200 %}
            {{ return(column ~ " in ('" ~ files.columns[0].values() | join("', '") ~ "')") }}
        {% endif %}
    {% endif %}
    {{ return('true') }}
{% endmacro %}

{#
  The first instant at which any counting restarts, as a literal: rows are stored by time, more or less, so that
  a batch at the head of a long history reads and rewrites its end alone.
#}
{% macro first_restart_us() %}
    {% if execute %}
        {% set first = run_query('select min(restart_us) from ' ~ ref('int_window_restarts')) %}
        {% if first.rows[0][0] is not none %}{{ return(first.rows[0][0] | string) }}{% endif %}
    {% endif %}
    {{ return('0') }}
{% endmacro %}

{# Where the lake's requests begin, since older ones were removed for their age; none while all are there. #}
{% macro first_kept_us() %}
    {% if execute %}
        {% set days = run_query('select max(first_day) from ' ~ source('lake', 'kept')).rows %}
        {% if days[0][0] is not none %}
            {{ return((days[0][0] - modules.datetime.date(1970, 1, 1)).days * 86400000000) }}
        {% endif %}
    {% endif %}
    {{ return(none) }}
{% endmacro %}

{# Dates returned by `sql`, as a list of literals for an `in (…)`: literals let the lake prune its folders. #}
{% macro date_literals(sql) %}
    {% set literals = [] %}
    {% if execute %}
        {% for row in run_query(sql).rows if row[0] is not none %}
            {% do literals.append("cast('" ~ row[0] ~ "' as date)") %}
        {% endfor %}
    {% endif %}
    {{ return(literals | join(', ') or "cast('1970-01-01' as date)") }}
{% endmacro %}

{# Does this build make all marts, also those that are made anew from the whole history? #}
{% macro is_whole() %}{{ return('model.earshot.fct_show_listeners' in selected_resources) }}{% endmacro %}

{#
  A whole build's end merges the row groups that batches have left (profiles.yml): DuckDB does when it closes the
  file, so this is for a model that is written last.
#}
{% macro merge_row_groups() %}
    {% if execute and is_whole() %}
        {% do run_query('set global max_vacuum_tasks = 100') %}
    {% endif %}
{% endmacro %}

{#
  In a build of few new requests DuckDB works in dbt's own threads alone: what a second one does of a statement of
  0.2 CPU-s is less than what sharing it out costs († 0.03 to 0.05 of it). Whole builds have statements that are
  worth it. For a model that is written first.
#}
{% macro use_one_thread_for_few() %}
    {% if execute and not (is_whole() or builds_from_scratch()) and run_query(few_requests()).rows[0][0] %}
        {% do run_query('set global threads = 1') %}
    {% endif %}
{% endmacro %}

{# Has this build so few new requests, at most `most`, that all of them may be held in memory? #}
{% macro few_requests(most=env_var('EARSHOT_COUNT_AT_ONCE', '200000')) %}
    select coalesce(sum(files.requests), 0) <= {{ most | int }}
    from {{ ref('stg_lake__files') }} as files
    where exists (
        select 1 from {{ ref('int_new_files') }} as new_files
        where files.source = new_files.source and files.file_id = new_files.file_id
    )
{% endmacro %}
