{# λ where no apps tell it, and how many installations it takes to tell it (ATTRIBUTION §2.9). #}
{% macro assumed_linkability() %}0.88{% endmacro %}
{% macro least_installs() %}200{% endmacro %}
