{#
  What makes a podcast worth a call: parts between 0 and 1, as SQL over the facts below, and their weights in a
  score of 100. A judgement of ours, explained column by column in the contract.
#}
{% set parts = {
    'audience': 'least(log10(1 + coalesce(downloads_30d, 0)) / 4, 1)',
    'rhythm': 'case when median_gap_days > 0 then least(7 / median_gap_days, 1) else 0 end',
    'recency': 'greatest(least((90 - coalesce(days_since_newest, 90)) / 76.0, 1), 0)',
    'growth': 'least(coalesce(acceleration, 0) / 2, 1)',
    'catalogue': 'least(log10(1 + coalesce(episode_count, 0)) / 2.5, 1)',
    'contact': 'contacts / 2.0',
    'moment': 'case when has_moved then 1 when changes_30d > 0 then 0.5 else 0 end',
} %}
{% set weights = {
    'audience': 25,
    'rhythm': 20,
    'recency': 15,
    'growth': 15,
    'catalogue': 10,
    'contact': 10,
    'moment': 5,
} %}
{% set day_us = window_us() %}

with podcasts as (

    select * from {{ ref('dim_podcasts') }}
    where registry_state = 'active' and not is_customer and tier not in ('dead', 'gone')

),

owners as (

    select
        podcast_key,
        owner_name,
        owner_email,
        newest_us,
        oldest_us
    from ({{ newest(ref('stg_lake__podcasts'), 'podcast_key') }}) as newest_records

),

clock as (

    select max(polled_us) as as_of_us from {{ ref('stg_lake__feed_state') }}

),

-- The gaps between the newest 20 episodes.
publications as (

    select
        podcast_key,
        {{ explode('publications_us') }} as published_us
    from {{ ref('stg_lake__feed_state') }}

),

gaps as (

    select
        podcast_key,
        published_us - lag(published_us) over (
            partition by podcast_key
            order by published_us
        ) as gap_us
    from publications

),

rhythm as (

    select
        podcast_key,
        {{ quartile(0.5, 'gap_us') }} / {{ day_us }} as median_gap_days
    from gaps
    where gap_us is not null
    group by podcast_key

),

items as (

    select
        podcast_key,
        {{ explode('published_us') }} as published_us
    from ({{ newest(ref('stg_lake__feed_items'), 'podcast_key') }}) as newest_items

),

published as (

    select
        items.podcast_key,
        count(case when items.published_us > clock.as_of_us - 30 * {{ day_us }} then 1 end) as episodes_30d,
        count(*) as episodes_90d
    from items
    cross join clock
    where items.published_us > clock.as_of_us - 90 * {{ day_us }} and items.published_us <= clock.as_of_us
    group by items.podcast_key

),

daily as (

    select * from {{ ref('fct_episode_daily') }}

),

-- The two source classes see the same listening: the one that sees more of it.
downloads_by_class as (

    select
        episodes.podcast_key,
        daily.source_class,
        sum(daily.downloads) as downloads
    from daily
    inner join {{ ref('dim_episodes') }} as episodes
        on daily.episode_key = episodes.episode_key
    where
        episodes.podcast_key is not null
        and daily.date > (select max(newest.date) - 30 from daily as newest)
    group by episodes.podcast_key, daily.source_class

),

downloads as (

    select
        podcast_key,
        cast(max(downloads) as bigint) as downloads_30d
    from downloads_by_class
    group by podcast_key

),

recent_changes as (

    select
        changes.podcast_key,
        changes.sequence,
        changes.change,
        changes.field
    from {{ ref('fct_metadata_changes') }} as changes
    cross join clock
    where
        not changes.is_minor
        and changes.detected_at > {{ us_to_timestamp('clock.as_of_us - 30 * ' ~ day_us) }}

),

-- Fields of the podcast, numbers of episodes: "episode.created 4, podcast.updated (author, title)".
told as (

    select
        podcast_key,
        change,
        case
            when change like 'episode.%' then change || ' ' || cast(count(distinct sequence) as varchar)
            else change || coalesce(' (' || {{ text_list('field') }} || ')', '')
        end as what
    from recent_changes
    group by podcast_key, change

),

changed as (

    select
        podcast_key,
        {{ text_list('what') }} as changed_lately,
        bool_or(change = 'podcast.moved') as has_moved,
        count(case when change like 'podcast.%' then 1 end) as changes_30d
    from told
    group by podcast_key

),

facts as (

    select
        podcasts.podcast_key,
        podcasts.show_id,
        podcasts.title,
        podcasts.author,
        owners.owner_name,
        owners.owner_email,
        case when owners.owner_name is null then 0 else 1 end
        + case when owners.owner_email is null then 0 else 1 end as contacts,
        podcasts.link,
        podcasts.feed_url,
        regexp_extract(podcasts.feed_url, '^[a-z]+://([^/:]+)', 1) as feed_host,
        podcasts.generator,
        podcasts.language,
        case
            when podcasts.categories <> '' then regexp_extract(podcasts.categories, '^([^;]*)', 1)
        end as category,
        podcasts.is_lead,
        podcasts.tier,
        podcasts.episode_count,
        podcasts.newest_published_at,
        {{ int_div('greatest(clock.as_of_us - owners.newest_us, 0)', day_us) }} as days_since_newest,
        rhythm.median_gap_days,
        coalesce(published.episodes_30d, 0) as episodes_30d,
        coalesce(published.episodes_90d, 0) as episodes_90d,
        -- Against the 90 days, or as many of them as the feed reaches back.
        case
            when published.episodes_90d > 0
                then
                    published.episodes_30d / 30.0 / published.episodes_90d
                    * least(greatest((clock.as_of_us - owners.oldest_us) / {{ day_us }}, 30), 90)
        end as acceleration,
        downloads.downloads_30d,
        changed.changed_lately,
        coalesce(changed.has_moved, false) as has_moved,
        coalesce(changed.changes_30d, 0) as changes_30d,
        {{ us_to_timestamp('clock.as_of_us') }} as as_of
    from podcasts
    cross join clock
    left join owners
        on podcasts.podcast_key = owners.podcast_key
    left join rhythm
        on podcasts.podcast_key = rhythm.podcast_key
    left join published
        on podcasts.podcast_key = published.podcast_key
    left join downloads
        on podcasts.podcast_key = downloads.podcast_key
    left join changed
        on podcasts.podcast_key = changed.podcast_key

),

parted as (

    select
        *,
        {% for part, share in parts.items() %}
            cast(round(100.0 * ({{ share }})) as integer)
                as {{ part }}_part{% if not loop.last %},{% endif %}
        {% endfor %}
    from facts

),

scored as (

    select
        *,
        (
            {% for part, weight in weights.items() %}
                {{ weight }} * {{ part }}_part {% if not loop.last %}+{% endif %}
            {% endfor %}
        ) / 100.0 as score
    from parted

)

select
    row_number() over (order by score desc, podcast_key asc) as lead_rank,
    cast(score as double) as score,
    {% for part in parts %}
        {{ part }}_part,
    {% endfor %}
    podcast_key,
    show_id,
    title,
    author,
    owner_name,
    owner_email,
    link,
    feed_url,
    feed_host,
    generator,
    language,
    category,
    is_lead,
    tier,
    episode_count,
    newest_published_at,
    median_gap_days,
    episodes_30d,
    episodes_90d,
    acceleration,
    downloads_30d,
    changed_lately,
    as_of
from scored
