{#
  Who downloaded what a collaboration was in, within its exposure window: one row a device, of any kind, with its
  first download. Reach, and which keys a sibling touched. Devices held out are not reached.
#}
{{ config(materialized='incremental', incremental_strategy='replace_targets') }}
-- depends_on: {{ ref('int_collaborations') }}
with downloads as (

    select * from {{ ref('int_index_downloads') }}
    where cohort = 'exposed'

)

select
    target_id,
    device_key,
    min(started_us) as first_us
from downloads
group by target_id, device_key
