{#
  Each cohort by stratum: devices that did not know A, how far they were followed, how many took it up.
  Placebo episodes and the pools beside them by episode (placebo_key).
#}
{{ config(materialized='incremental', incremental_strategy='replace_targets') }}
-- depends_on: {{ ref('int_collaborations') }}
with members as (

    select * from {{ ref('int_cohorts') }}
    where not is_known

),

counted as (

    select
        target_id,
        cohort,
        placebo_key,
        stratum,
        count(*) as keys, -- noqa: RF04
        {{ exact_sum('followed') }} as followed,
        count(converted_us) as converts
    from members
    group by target_id, cohort, placebo_key, stratum

),

-- A device that several placebo episodes saw converting is one, in the stratum of the first.
ranked as (

    select
        target_id,
        cohort,
        placebo_key,
        stratum,
        row_number() over (
            partition by target_id, cohort, device_key
            order by at_us, placebo_key
        ) as conversion_rank
    from members
    where converted_us is not null

),

converting as (

    select
        target_id,
        cohort,
        placebo_key,
        stratum,
        count(*) as converting_keys
    from ranked
    where conversion_rank = 1
    group by target_id, cohort, placebo_key, stratum

)

select
    counted.target_id,
    counted.cohort,
    counted.placebo_key,
    counted.stratum,
    counted.keys,
    counted.followed,
    counted.converts,
    coalesce(converting.converting_keys, 0) as converting_keys
from counted
left join converting
    on
        counted.target_id = converting.target_id
        and counted.cohort = converting.cohort
        and counted.placebo_key = converting.placebo_key
        and counted.stratum = converting.stratum
