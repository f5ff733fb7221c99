{# Whose requests make a download together (R17): a listener is an address and an agent (R26). #}
{% macro window_key() %}source_class, listener_key, episode_key{% endmacro %}

{# Has a download its keys still? Those of old ones are forgotten (orchestration/forgetting.py), the row stays. #}
{% macro is_keyed() %}coalesce(key_epoch, 0) >= 0{% endmacro %}

{# The same one on both sides of a join. #}
{% macro same_key(left, right) -%}
    {{ left }}.source_class = {{ right }}.source_class
    and {{ left }}.listener_key = {{ right }}.listener_key
    and {{ left }}.episode_key = {{ right }}.episode_key
{%- endmacro %}

{# The same window on both sides: of the same key, from and to the same request. #}
{% macro same_window(left, right) -%}
    {{ same_key(left, right) }}
    and {{ left }}.first_request_us = {{ right }}.first_request_us
    and {{ left }}.last_request_us = {{ right }}.last_request_us
{%- endmacro %}

{# More lines than any file has: file_rank * most_lines() + line_number names a line by one number. #}
{% macro most_lines() %}4294967296{% endmacro %}

{# The same enclosure on both sides: the 64-bit key finds the row, the string proves it. #}
{% macro same_enclosure(left, right) -%}
    {{ left }}.enclosure_key = {{ right }}.enclosure_key
    and {{ left }}.enclosure_url = {{ right }}.enclosure_url
{%- endmacro %}
