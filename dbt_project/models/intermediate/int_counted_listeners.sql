{# Written after all marts: the listeners this build knew, and under which key it counted them. #}
{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['key_epoch', 'listener_key'],
) }}
-- depends_on: {{ ref('int_counted_enclosures') }}
select
    key_epoch,
    listener_key,
    listener_key_prev,
    canonical_listener_key
from {{ ref('int_listener_updates') }}
