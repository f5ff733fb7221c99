{#
  Collaborations together, by `groups`: the sum of what they brought and its joint interval. Collaborations of one
  show share errors (int_solution_covariances); λ's error is the same for all, so it adds up. None is left out of a sum
  for being small or below 0: that would make all sums too large. Only one with nobody to compare with has no estimate:
  it is counted beside. A sum has a number where its collaborations together show enough, by the rule for one; those
  with too few to compare with add nothing to that.
#}
{% macro pooled_lift(groups) %}
with measured as (

    select
        *,
        cast(date_trunc('month', starts_at) as date) as month,
        case when pool_keys >= least_exposed then exposed else 0 end as telling_exposed,
        case when pool_keys >= least_exposed then converted + organic else 0 end as telling_events
    from {{ ref('fct_collaboration_lift') }}

),

collaborations as (

    select * from measured
    where estimate is not null

),

not_comparable as (

    select
        {% for group in groups %}
        {{ group }},
        {% endfor %}
        count(*) as collaborations
    from measured
    where exposed > 0 and organic is null
    group by {{ groups | join(', ') }}

),

covariances as (

    select * from {{ ref('int_solution_covariances') }}

),

spreads as (

    select
        {% for group in groups %}
        these.{{ group }},
        {% endfor %}
        sum(covariances.covariance) as variance
    from covariances
    inner join collaborations as these
        on covariances.target_id = these.collaboration_id
    inner join collaborations as others
        on
            covariances.other_id = others.collaboration_id
            {% for group in groups %}
            and these.{{ group }} is not distinct from others.{{ group }}
            {% endfor %}
    group by {% for group in groups %}these.{{ group }}{% if not loop.last %}, {% endif %}{% endfor %}

),

sums as (

    select
        {{ groups | join(',\n        ') }},
        count(*) as collaborations,
        count(case when state = 'provisional' then 1 end) as provisional,
        count(case when is_insufficient then 1 end) as insufficient,
        sum(reach) as reach,
        sum(converted) as converted,
        sum(organic) as organic,
        sum(estimate) as new_listeners,
        sum(telling_exposed) < max(least_exposed) or sum(telling_events) < max(least_events)
            as is_insufficient,
        case
            when count(case when is_insufficient and at_most is null then 1 end) = 0
                then sum(coalesce(at_most, ceil(greatest(estimate_high, 0)) + 1))
        end as at_most,
        sum(gross_last_touch) as gross_last_touch,
        -- Money of one currency alone is added up, and only where each has its cost.
        case when count(distinct currency) = 1 and count(cost) = count(*) then sum(cost) end as cost,
        case when count(distinct currency) = 1 and count(cost) = count(*) then min(currency) end as currency,
        max(linkability_se) / max(linkability) as linkability_error,
        max(k) * max(widening) as deviates,
        max(model_version) as model_version
    from collaborations
    group by {{ groups | join(', ') }}

),

with_errors as (

    select
        sums.*,
        coalesce(not_comparable.collaborations, 0) as not_comparable,
        sqrt(
            greatest(coalesce(spreads.variance, 0), 0)
            + power(sums.new_listeners * coalesce(sums.linkability_error, 0), 2)
        ) as se
    from sums
    left join spreads
        on
            {% for group in groups %}
            sums.{{ group }} is not distinct from spreads.{{ group }}
            {%- if not loop.last %} and{% endif %}
            {% endfor %}

    left join not_comparable
        on
            {% for group in groups %}
            sums.{{ group }} is not distinct from not_comparable.{{ group }}
            {%- if not loop.last %} and{% endif %}
            {% endfor %}

)

select
    {% for group in groups %}
    {{ group }},
    {% endfor %}
    cast(collaborations as bigint) as collaborations,
    cast(provisional as bigint) as provisional,
    cast(insufficient as bigint) as insufficient,
    cast(not_comparable as bigint) as not_comparable,
    cast(reach as bigint) as reach,
    cast(converted as bigint) as converted,
    organic,
    case when not is_insufficient then new_listeners end as new_listeners,
    case when not is_insufficient then new_listeners - deviates * se end as new_listeners_low,
    case when not is_insufficient then new_listeners + deviates * se end as new_listeners_high,
    se,
    is_insufficient,
    cast(case when is_insufficient then at_most end as bigint) as at_most,
    cost,
    currency,
    case when not is_insufficient and new_listeners > 0 then cost / new_listeners end as cost_per_new_listener,
    gross_last_touch,
    model_version
from with_errors
{% endmacro %}
