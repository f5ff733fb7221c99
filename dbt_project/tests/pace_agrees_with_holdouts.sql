{{ config(severity='warn', meta={'dagster': {'ref': {'name': 'fct_collaboration_lift'}}}) }}

-- What PACE estimates and what a randomised holdout shows is the same but for chance: three standard errors
-- apart is one in 370. Both count the same exposed and share lambda, so they differ by less than this allows.
select
    collaboration_id,
    show_id,
    partner_show_id,
    new_listeners,
    se,
    holdout_new_listeners,
    holdout_se
from {{ ref('fct_collaboration_lift') }}
where
    state = 'final'
    and not is_insufficient
    and abs(new_listeners - holdout_new_listeners) > 3 * sqrt(power(se, 2) + power(holdout_se, 2))
