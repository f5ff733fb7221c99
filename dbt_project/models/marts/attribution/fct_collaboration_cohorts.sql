{# The cohorts behind each collaboration's figure, by stratum. #}
with rates as (

    select
        target_id,
        cohort,
        stratum,
        sum(keys) as keys, -- noqa: RF04
        {{ exact_sum('followed', 30) }} as followed,
        sum(converts) as converts
    from {{ ref('int_cohort_rates') }}
    where target_id > 0
    group by target_id, cohort, stratum

)

select
    target_id as collaboration_id,
    cohort,
    stratum,
    cast(keys as bigint) as keys, -- noqa: RF04
    cast(followed as double) as followed,
    cast(converts as bigint) as converts,
    case
        when stratum >= 6 then '4+'
        when stratum >= 3 then '1-3'
        else '0'
    end as genre_downloads,
    case stratum % 3
        when 2 then '10+'
        when 1 then '4-9'
        else '0-3'
    end as all_downloads,
    converts / nullif(followed, 0) as rate
from rates
