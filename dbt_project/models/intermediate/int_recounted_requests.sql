{#
  The requests of the keys whose counting restarts, from the restart on, whatever became of them. Read once:
  the windows are made from them, and their days are the ones that change. Nothing when all is counted anew.
#}
-- depends_on: {{ ref('stg_lake__requests') }}, {{ ref('int_enclosures') }}, {{ ref('int_listener_links') }}
{% set restarts = ref('int_window_restarts') %}

{% if builds_from_scratch() %}
    select requests.* from {{ ref('int_requests') }} as requests -- noqa: AM04
    where 1 = 0
    -- depends_on: {{ restarts }}
{% else %}
    {{ requests_to_recount(restarts) }}
{% endif %}
