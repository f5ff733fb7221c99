{#
  Each cohort by stratum: devices that did not know A, how far they were followed, how many took it up.
  Placebo episodes and the pools beside them by episode (placebo_key).
#}
{{ config(materialized='incremental', incremental_strategy='replace_targets') }}
-- depends_on: {{ ref('int_collaborations') }}
with members as (

    select
        *,
        row_number() over (
            partition by target_id, cohort, device_key, converted_us is not null
            order by at_us, placebo_key
        ) as conversion_rank
    from {{ ref('int_cohorts') }}
    where not is_known

)

select
    target_id,
    cohort,
    placebo_key,
    stratum,
    count(*) as keys, -- noqa: RF04
    sum(followed) as followed,
    count(converted_us) as converts,
    -- A device that several placebo episodes saw converting is one, in the stratum of the first.
    count(case when converted_us is not null and conversion_rank = 1 then 1 end) as converting_keys
from members
group by target_id, cohort, placebo_key, stratum
