{#
  The qualifying requests of the keys whose counting restarts, from their restart on. The days are literals, so
  that the lake prunes folders. Late keys go in a pass of their own: one old line must not make the whole batch
  read history.
#}
{% macro requests_to_recount(restarts) %}
    {% if window_rule() == 'calendar' %}
        {% set days = date_literals('select distinct restart_date from ' ~ restarts) %}
        {{ _recount_pass(restarts, 'requests.day in (' ~ days ~ ')', 'true') }}
    {% else %}
        {% set head = _single_date("select max(restart_date) - 1 from " ~ restarts) %}
        {% set tail = _single_date("select min(restart_date) from " ~ restarts ~ " where restart_date < " ~ head) %}
        {{ _recount_pass(restarts, 'requests.day >= ' ~ head, 'restarts.restart_date >= ' ~ head) }}
        {% if tail != "cast('1970-01-01' as date)" %}
            union all
            {{ _recount_pass(restarts, 'requests.day >= ' ~ tail, 'restarts.restart_date < ' ~ head) }}
        {% endif %}
    {% endif %}
{% endmacro %}

{% macro _recount_pass(restarts, days, keys) %}
    select requests.*
    from {{ ref('int_requests') }} as requests
    inner join {{ restarts }} as restarts
        on
            {{ same_key('requests', 'restarts') }}
            and requests.started_us >= restarts.restart_us
            and requests.started_us < restarts.until_us
    where
        requests.exclusion_reason is null
        and {{ days }}
        and {{ keys }}
{% endmacro %}

{% macro _single_date(sql) %}{{ return(date_literals(sql).split(', ')[0]) }}{% endmacro %}
