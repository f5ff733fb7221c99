{% set ages = pacing_ages().split(', ') %}

with episodes as (

    select
        episode_key,
        min(episode_id) as episode_id,
        min(show_id) as show_id,
        min(published_us) as published_us
    from {{ ref('int_catalog_enclosures') }}
    where published_us is not null
    group by episode_key

),

spans as (

    select * from {{ ref('int_show_spans') }}

),

downloads as (

    select * from {{ ref('fct_downloads') }}
    where downloads = 1

),

ages as (

    {% for age in ages %}
        select {{ age }} as age_days
        {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

-- An episode nobody heard counts as 0 in its show's median; one whose first days no log tells of is left out.
expected as (

    select
        spans.source_class,
        spans.show_id,
        episodes.episode_id,
        episodes.episode_key,
        episodes.published_us,
        ages.age_days,
        case
            when episodes.published_us < spans.first_event_us then 'published_before_data'
            when episodes.published_us + ages.age_days * {{ window_us() }} > spans.last_event_us
                then 'age_not_reached'
            else 'complete'
        end as completeness
    from episodes
    inner join spans
        on episodes.show_id = spans.show_id
    cross join ages
    where
        episodes.published_us <= spans.last_event_us
        and episodes.published_us + ages.age_days * {{ window_us() }} > spans.first_event_us

),

-- Each download at the first age that includes it; exact hours, not dates.
aged as (

    select
        downloads.source_class,
        downloads.episode_key,
        case
            {% for age in ages %}
                when downloads.first_request_us < episodes.published_us + {{ age }} * {{ window_us() }}
                    then {{ age }}
            {% endfor %}
        end as age_days
    from downloads
    inner join episodes
        on downloads.episode_key = episodes.episode_key
    where downloads.first_request_us < episodes.published_us + {{ ages | last }} * {{ window_us() }}

),

by_age as (

    select
        source_class,
        episode_key,
        age_days,
        count(*) as downloads
    from aged
    group by source_class, episode_key, age_days

),

counted as (

    select
        expected.source_class,
        expected.show_id,
        expected.episode_id,
        expected.episode_key,
        expected.published_us,
        expected.age_days,
        expected.completeness,
        cast(coalesce(sum(by_age.downloads), 0) as bigint) as downloads
    from expected
    left join by_age
        on
            expected.source_class = by_age.source_class
            and expected.episode_key = by_age.episode_key
            and expected.age_days >= by_age.age_days
    group by
        expected.source_class,
        expected.show_id,
        expected.episode_id,
        expected.episode_key,
        expected.published_us,
        expected.age_days,
        expected.completeness

),

medians as (

    select
        source_class,
        show_id,
        age_days,
        {{ quartile(0.5, 'downloads') }} as median_downloads
    from counted
    where completeness = 'complete'
    group by source_class, show_id, age_days

),

ranks as (

    select
        source_class,
        episode_key,
        age_days,
        rank() over (partition by source_class, show_id, age_days order by downloads desc) as rank_in_show
    from counted
    where completeness = 'complete'

)

select
    counted.source_class,
    counted.show_id,
    counted.episode_id,
    counted.episode_key,
    {{ us_to_timestamp('counted.published_us') }} as published_at,
    counted.age_days,
    counted.downloads,
    counted.completeness,
    counted.completeness = 'complete' as is_complete,
    medians.median_downloads as show_median,
    case
        when counted.completeness = 'complete' then counted.downloads / nullif(medians.median_downloads, 0)
    end as ratio_to_show_median,
    ranks.rank_in_show
from counted
left join medians
    on
        counted.source_class = medians.source_class
        and counted.show_id = medians.show_id
        and counted.age_days = medians.age_days
left join ranks
    on
        counted.source_class = ranks.source_class
        and counted.episode_key = ranks.episode_key
        and counted.age_days = ranks.age_days
