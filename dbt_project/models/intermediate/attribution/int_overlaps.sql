{#
  How many of a target's exposed cohort a sibling could have converted within the target's follow-up, if everyone it
  reaches were (ATTRIBUTION §2.8: M_ji). For each device the sibling's response in that time.
#}
{{ config(materialized='incremental', incremental_strategy='replace_targets') }}
-- depends_on: {{ ref('int_collaborations') }}
with members as (

    select
        target_id,
        device_key,
        at_us,
        followed * {{ follow_up_us() }} as followed_us
    from {{ ref('int_cohorts') }}
    where cohort = 'exposed' and not is_known

),

pairs as (

    select
        members.target_id,
        siblings.other_id,
        members.at_us - exposures.first_us as since_us,
        members.at_us - exposures.first_us + members.followed_us as until_us
    from members
    inner join {{ ref('int_siblings') }} as siblings
        on members.target_id = siblings.target_id and siblings.other_id <> siblings.target_id
    inner join {{ ref('int_exposures') }} as exposures
        on
            siblings.other_id = exposures.target_id
            and members.device_key = exposures.device_key

)

select
    target_id,
    other_id,
    count(*) as common_keys,
    {{ exact_sum(
        'greatest(' ~ response('until_us') ~ ' - ' ~ response('since_us') ~ ', 0)'
    ) }} as converted_by_other
from pairs
group by target_id, other_id
