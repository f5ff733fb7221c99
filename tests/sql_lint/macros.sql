{% macro env_var(name, default='') %}{{ default }}{% endmacro %}
{% macro return(value) %}{{ value }}{% endmacro %}
{% macro doc(name) %}{% endmacro %}
{% macro run_query(sql) %}{% endmacro %}
