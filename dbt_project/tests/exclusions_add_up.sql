{{ config(meta={'dagster': {'ref': {'name': 'fct_exclusions_daily'}}}) }}

-- Every logged line is a download, has a reason why not, or came twice: nothing is lost.
-- Sums, not days: a rolling window counts all its requests on its first day.
with logged as (

    select count(*) as lines
    from {{ ref('stg_lake__requests') }}

),

excluded as (

    select coalesce(sum(requests), 0) as requests
    from {{ ref('fct_exclusions_daily') }}

),

counted as (

    select coalesce(sum(downloads), 0) as downloads
    from {{ ref('fct_episode_daily') }}

)

select
    logged.lines,
    excluded.requests,
    counted.downloads
from logged
cross join excluded
cross join counted
where logged.lines <> excluded.requests + counted.downloads
