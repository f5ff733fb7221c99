{#
  The requests of the keys whose counting restarts, from the restart on, whatever became of them. Read once:
  the windows are made from them, and their days are the ones that change. None when all is counted anew, or a
  batch at once (counts_at_once).
#}
{{ needed_at_once() }}
{% set restarts = ref('int_window_restarts') %}

{% if builds_from_scratch() or counts_at_once() %}
    select requests.* from {{ ref('int_requests') }} as requests -- noqa: AM04
    where 1 = 0
    -- depends_on: {{ restarts }}
{% else %}
    {{ requests_to_recount(restarts) }}
{% endif %}
