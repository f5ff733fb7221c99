{# When devices entered the exposed cohort, by stratum, and when they became new listeners. #}
{{ config(materialized='incremental', incremental_strategy='replace_targets') }}
-- depends_on: {{ ref('int_collaborations') }}
with members as (

    select * from {{ ref('int_cohorts') }}
    where cohort = 'exposed' and not is_known

),

days as (

    select
        target_id,
        {{ us_to_date('at_us') }} as date,
        stratum,
        1 as exposed,
        0 as converted
    from members
    union all
    select
        target_id,
        {{ us_to_date('converted_us') }} as date,
        stratum,
        0 as exposed,
        1 as converted
    from members
    where converted_us is not null

)

select
    target_id,
    date,
    stratum,
    sum(exposed) as exposed,
    sum(converted) as converted
from days
group by target_id, date, stratum
