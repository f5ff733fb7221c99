-- Every request that was logged is a download, or has a reason why not: day by day, nothing is lost.
{% if window_rule() == 'calendar' %}

with logged as (

    select
        day as date,
        source_class,
        count(*) as lines
    from {{ ref('stg_lake__requests') }}
    group by day, source_class

),

explained as (

    select
        date,
        source_class,
        sum(requests) as lines
    from (
        select date, source_class, requests from {{ ref('fct_exclusions_daily') }}
        union all
        select date, source_class, downloads as requests from {{ ref('fct_episode_daily') }}
    )
    group by date, source_class

)

select *
from logged
full outer join explained
    on logged.date = explained.date and logged.source_class = explained.source_class
where logged.lines is distinct from explained.lines

{% else %}

-- A rolling window counts all its requests on its first day, so only the sums can agree.
select *
from (
    select
        (select count(*) from {{ ref('stg_lake__requests') }}) as logged,
        coalesce((select sum(requests) from {{ ref('fct_exclusions_daily') }}), 0)
        + coalesce((select sum(downloads) from {{ ref('fct_episode_daily') }}), 0) as explained
)
where logged <> explained

{% endif %}
