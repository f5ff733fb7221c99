with enclosures as (

    select * from {{ ref('int_catalog_enclosures') }}

),

thresholds as (

    select
        episode_key,
        min(threshold_bytes) as threshold_bytes,
        min(threshold_source) as threshold_source
    from {{ ref('int_enclosures') }}
    group by episode_key

),

in_catalog as (

    select
        enclosures.episode_key,
        min(enclosures.episode_id) as episode_id,
        min(enclosures.show_id) as show_id,
        min(enclosures.episode_title) as episode_title,
        min(enclosures.enclosure_url) as enclosure_url,
        count(*) as enclosures,
        min(enclosures.published_us) as published_us,
        max(coalesce(enclosures.file_bytes, enclosures.declared_bytes)) as file_bytes,
        max(enclosures.duration_s) as duration_s,
        max(enclosures.id3_bytes) as id3_bytes,
        min(enclosures.podcast_key) as podcast_key,
        max(enclosures.origin) as origin,
        case
            when bool_and(enclosures.podcast_key is null or enclosures.removed_us is not null)
                then max(enclosures.removed_us)
        end as removed_us,
        min(thresholds.threshold_bytes) as threshold_bytes,
        min(thresholds.threshold_source) as threshold_source
    from enclosures
    inner join thresholds
        on enclosures.episode_key = thresholds.episode_key
    group by enclosures.episode_key

),

-- Enclosures that were asked for and that the catalogue does not know, under their canonical URL.
unmatched as (

    select
        episode_key,
        min(episode_id) as episode_id
    from {{ ref('int_download_windows') }}
    where not is_in_catalog
    group by episode_key

)

select
    episode_key,
    episode_id,
    show_id,
    episode_title,
    enclosure_url,
    enclosures,
    {{ us_to_timestamp('published_us') }} as published_at,
    file_bytes,
    duration_s,
    id3_bytes,
    threshold_bytes,
    threshold_source,
    true as is_in_catalog,
    origin,
    podcast_key,
    {{ us_to_timestamp('removed_us') }} as removed_at
from in_catalog
union all
select
    episode_key,
    episode_id,
    cast(null as varchar) as show_id,
    cast(null as varchar) as episode_title,
    episode_id as enclosure_url,
    1 as enclosures,
    cast(null as timestamp) as published_at,
    cast(null as bigint) as file_bytes,
    cast(null as double) as duration_s,
    cast(null as bigint) as id3_bytes,
    {{ default_threshold_bytes() }} as threshold_bytes,
    'default' as threshold_source,
    false as is_in_catalog,
    'log' as origin,
    cast(null as bigint) as podcast_key,
    cast(null as timestamp) as removed_at
from unmatched
