{#
  The requests of each window, once each: a log line delivered twice is one request. `windows` names a CTE with
  the window's key and ends, and with `columns` that name it; `requests` one with the qualifying requests;
  continues the `with` list with the CTE `delivered_once`: one row a (window, request_key).
#}
{% macro each_request_once(windows, requests, columns, where='true') %}
    delivered_once as (

        select
            {% for column in columns.split(', ') %}
                {{ windows }}.{{ column }},
            {% endfor %}
            {{ requests }}.request_key,
            count(*) as lines,
            min({{ requests }}.started_us) as started_us,
            min({{ requests }}.content_first) as content_first,
            max({{ requests }}.content_last) as content_last,
            max({{ requests }}.served_bytes) as served_bytes
        from {{ requests }}
        inner join {{ windows }}
            on
                {{ same_key(windows, requests) }}
                and {{ requests }}.started_us >= {{ windows }}.first_request_us
                and {{ requests }}.started_us <= {{ windows }}.last_request_us
        where {{ where }}
        group by
            {% for column in columns.split(', ') %}
                {{ windows }}.{{ column }},
            {% endfor %}
            {{ requests }}.request_key

    )
{% endmacro %}

{#
  R5, R13: bytes of content in the union of byte ranges, by `columns`. `requests` names a CTE with these,
  content_first, content_last and served_bytes; continues the `with` list with the CTE `united`.
#}
{% macro unite_ranges(requests, columns) %}
    -- Of each range what lies beyond all that begin before it; of those that begin together it does not matter,
    -- which one comes first († a fifth less than to sort them, too).
    reached as (

        select
            *,
            max(content_last) over (
                partition by {{ columns }}
                order by content_first
                rows between unbounded preceding and 1 preceding
            ) as reached_last
        from {{ requests }}

    ),

    united as (

        select
            {{ columns }},
            count(*) as requests,
            sum(served_bytes) as served_bytes,
            sum(
                greatest(
                    content_last - greatest(content_first, coalesce(reached_last + 1, content_first)) + 1, 0
                )
            ) as content_bytes
        from reached
        group by {{ columns }}

    )
{% endmacro %}
