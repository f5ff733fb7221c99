{#
  Listener keys that are counted under an older one: what the last complete build knew, as this one corrects it.
#}
{{ config(materialized='view') }}

{% set counted = remembered('int_counted_listeners') %}

{% if counted is not none and not flags.FULL_REFRESH %}
    select
        counted.key_epoch,
        counted.listener_key,
        counted.canonical_listener_key
    from {{ counted }} as counted
    left join {{ ref('int_listener_updates') }} as updates
        on counted.key_epoch = updates.key_epoch and counted.listener_key = updates.listener_key
    where counted.canonical_listener_key <> counted.listener_key and updates.listener_key is null
    union all
{% endif %}
select
    key_epoch,
    listener_key,
    canonical_listener_key
from {{ ref('int_listener_updates') }}
where canonical_listener_key <> listener_key
