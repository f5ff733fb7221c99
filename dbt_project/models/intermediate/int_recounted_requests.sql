{#
  The requests of the keys whose counting restarts, from the restart on, whatever became of them. Read once:
  the windows are made from them, and their days are the ones that change. Nothing when all is counted anew.
#}
{% set restarts = ref('int_window_restarts') %}

{% if builds_from_scratch() %}
    select requests.* from {{ ref('int_requests') }} as requests -- noqa: AM04
    where 1 = 0
    -- depends_on: {{ restarts }}
{% else %}
    {{ requests_to_recount(restarts) }}
{% endif %}
