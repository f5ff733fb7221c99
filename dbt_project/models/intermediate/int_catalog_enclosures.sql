{#
  The catalogue of the downloads marts: the operator's lists and the feeds of matched podcasts, an enclosure an
  episode's. Where a list knows an enclosure its word stands, and the feed only fills what it leaves empty. An
  episode that both know is the list's, through all enclosures of both.

  Nothing that a feed says of itself gives it what is another's: neither its dates, nor a podcast:guid that is the id
  of a show which a list or a registration names (docs/decisions/0013).
#}
with listed as (

    select * from {{ ref('stg_lake__episodes') }}

),

registered as (

    select * from {{ ref('stg_lake__registered') }}

),

named_shows as (

    {{ named_shows('listed', 'registered') }}

),

feed_urls as (

    select
        episodes.podcast_key,
        episodes.episode_key,
        episodes.guid,
        episodes.title as episode_title,
        episodes.published_us,
        episodes.first_seen_us,
        episodes.removed_us,
        episodes.duration_s,
        episodes.enclosure_bytes,
        episodes.enclosure_canonical,
        registered.show_id is not null as is_named,
        case
            when registered.show_id is not null then registered.show_id
            when named_shows.show_id is null then coalesce(registered.podcast_guid, podcasts.podcast_guid)
        end as show_id,
        podcasts.title as show_title,
        {{ explode('episodes.enclosure_urls') }} as enclosure_url
    from {{ ref('int_feed_episodes') }} as episodes
    left join registered
        on episodes.podcast_key = registered.podcast_key
    left join {{ ref('int_matched_podcasts') }} as podcasts
        on episodes.podcast_key = podcasts.podcast_key
    left join named_shows
        on coalesce(registered.podcast_guid, podcasts.podcast_guid) = named_shows.show_id
    where episodes.episode_key is not null

),

-- Feeds take episodes over from one another: it is that one's whose show somebody named, then that still
-- has it, then in which we saw it first.
ranked as (

    select
        *,
        row_number() over (
            partition by enclosure_url
            order by
                (not is_named), (removed_us is not null), first_seen_us, podcast_key, episode_key
        ) as claim_rank
    from feed_urls
    where show_id is not null

),

in_feeds as (

    select
        *,
        case when enclosure_url = enclosure_canonical then enclosure_bytes end as declared_bytes
    from ranked
    where claim_rank = 1

),

listed_episodes as (

    select
        episode_key,
        min(show_id) as show_id,
        min(episode_id) as episode_id,
        min(show_title) as show_title,
        min(episode_title) as episode_title,
        min(published_us) as published_us
    from listed
    group by episode_key

),

-- Which episode of the lists a feed's episode is: that of the same show and GUID, else of a common enclosure.
same_episodes as (

    select
        in_feeds.episode_key,
        coalesce(min(by_guid.episode_key), min_by(by_url.episode_key, by_url.enclosure_url)) as listed_key
    from in_feeds
    left join listed_episodes as by_guid
        on in_feeds.show_id = by_guid.show_id and in_feeds.guid = by_guid.episode_id
    left join listed as by_url
        on in_feeds.enclosure_url = by_url.enclosure_url
    group by in_feeds.episode_key
    having min(by_guid.episode_key) is not null or min(by_url.episode_key) is not null

),

-- A key exists for what was asked for.
requested as (

    select
        enclosure_key,
        enclosure_url
    from {{ ref('int_requested_enclosures') }}

)

select
    listed.show_id,
    listed.episode_id,
    listed.episode_key,
    listed.enclosure_key,
    listed.enclosure_url,
    in_feeds.podcast_key,
    'list' as origin,
    listed.show_title,
    listed.episode_title,
    listed.published_us,
    in_feeds.removed_us,
    listed.file_bytes,
    in_feeds.declared_bytes,
    coalesce(listed.duration_s, in_feeds.duration_s) as duration_s,
    listed.id3_bytes
from listed
left join in_feeds
    on listed.enclosure_url = in_feeds.enclosure_url
union all
select
    coalesce(listed_episodes.show_id, in_feeds.show_id) as show_id,
    coalesce(listed_episodes.episode_id, in_feeds.guid) as episode_id,
    coalesce(listed_episodes.episode_key, in_feeds.episode_key) as episode_key,
    requested.enclosure_key,
    in_feeds.enclosure_url,
    in_feeds.podcast_key,
    case when listed_episodes.episode_key is null then 'feed' else 'list' end as origin,
    case
        when listed_episodes.episode_key is null then in_feeds.show_title else listed_episodes.show_title
    end as show_title,
    coalesce(listed_episodes.episode_title, in_feeds.episode_title) as episode_title,
    case
        when listed_episodes.episode_key is null then in_feeds.published_us else listed_episodes.published_us
    end as published_us,
    in_feeds.removed_us,
    cast(null as bigint) as file_bytes,
    in_feeds.declared_bytes,
    in_feeds.duration_s,
    cast(null as bigint) as id3_bytes
from in_feeds
left join listed
    on in_feeds.enclosure_url = listed.enclosure_url
left join same_episodes
    on in_feeds.episode_key = same_episodes.episode_key
left join listed_episodes
    on same_episodes.listed_key = listed_episodes.episode_key
left join requested
    on in_feeds.enclosure_url = requested.enclosure_url
where listed.enclosure_url is null
