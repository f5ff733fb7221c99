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

{# True when this build starts from nothing, so that reading "what is new" would only copy everything. #}
{% macro builds_from_scratch() %}
    {{ return(flags.FULL_REFRESH or remembered('int_download_windows') is none) }}
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
