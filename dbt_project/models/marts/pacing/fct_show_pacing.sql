{% set ages = pacing_ages().split(', ') %}

with episodes as (

    select
        show_id,
        episode_key,
        min(published_us) as published_us
    from {{ ref('int_catalog_enclosures') }}
    group by show_id, episode_key

),

spans as (

    select * from {{ ref('int_show_spans') }}

),

ages as (

    {% for age in ages %}
        select {{ age }} as age_days
        {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

-- What becomes of each episode of the show; one not published yet is nothing to compare.
placed as (

    select
        spans.source_class,
        spans.show_id,
        count(case when episodes.published_us < spans.first_event_us then 1 end) as episodes_before_data,
        count(case when episodes.published_us is null then 1 end) as episodes_without_date
    from spans
    inner join episodes
        on spans.show_id = episodes.show_id
    group by spans.source_class, spans.show_id

),

paced as (

    select
        source_class,
        show_id,
        age_days,
        count(case when completeness = 'complete' then 1 end) as episodes,
        count(case when completeness = 'age_not_reached' then 1 end) as episodes_too_young
    from {{ ref('fct_episode_pacing') }}
    group by source_class, show_id, age_days

),

quartiles as (

    select
        source_class,
        show_id,
        age_days,
        {{ quartile(0.25, 'downloads') }} as p25_downloads,
        {{ quartile(0.5, 'downloads') }} as median_downloads,
        {{ quartile(0.75, 'downloads') }} as p75_downloads
    from {{ ref('fct_episode_pacing') }}
    where is_complete
    group by source_class, show_id, age_days

)

select
    placed.source_class,
    placed.show_id,
    ages.age_days,
    quartiles.p25_downloads,
    quartiles.median_downloads,
    quartiles.p75_downloads,
    placed.episodes_before_data,
    placed.episodes_without_date,
    coalesce(paced.episodes, 0) as episodes,
    coalesce(paced.episodes_too_young, 0) as episodes_too_young
from placed
cross join ages
left join paced
    on
        placed.source_class = paced.source_class
        and placed.show_id = paced.show_id
        and ages.age_days = paced.age_days
left join quartiles
    on
        placed.source_class = quartiles.source_class
        and placed.show_id = quartiles.show_id
        and ages.age_days = quartiles.age_days
