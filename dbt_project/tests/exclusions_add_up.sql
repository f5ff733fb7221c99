{{ config(meta={'dagster': {'ref': {'name': 'fct_exclusions_daily'}}}) }}

-- Every logged line is a download, has a reason why not, or came twice: nothing is lost, whatever the rule.
-- Sums, not days: a rolling window counts all its requests on its first day.
with logged as (

    select count(*) as lines
    from {{ ref('stg_lake__requests') }}

),

excluded as (

    select
        {% for rule in window_rules().split() %}
            coalesce(sum(requests_{{ rule }}), 0) as requests_{{ rule }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from {{ ref('fct_exclusions_daily') }}

),

counted as (

    select
        {% for rule in window_rules().split() %}
            coalesce(sum(downloads_{{ rule }}), 0) as downloads_{{ rule }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from {{ ref('fct_episode_daily') }}

)

select
    logged.*,
    excluded.*,
    counted.*
from logged
cross join excluded
cross join counted
where
    {% for rule in window_rules().split() %}
        logged.lines <> excluded.requests_{{ rule }} + counted.downloads_{{ rule }}
        {% if not loop.last %}or{% endif %}
    {% endfor %}
