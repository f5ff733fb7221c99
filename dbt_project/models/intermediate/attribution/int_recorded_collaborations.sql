{#
  The collaborations of the registry as the marts name their shows and episodes; one whose shows the marts do not
  know has no show_key and is none to them yet. episode_key is null where they do not know the episode that is named.
#}
with recorded as (

    select * from {{ ref('stg_lake__collaborations') }}

),

podcasts as (

    select
        podcasts.podcast_key,
        shows.show_id as counted_show_id,
        coalesce(shows.show_id, podcasts.show_id) as show_id
    from {{ ref('dim_podcasts') }} as podcasts
    left join {{ ref('int_podcast_shows') }} as shows
        on podcasts.podcast_key = shows.podcast_key

),

enclosures as (

    select * from {{ ref('int_catalog_enclosures') }}

),

episodes as (

    select
        show_id,
        episode_id,
        min(episode_key) as episode_key
    from enclosures
    group by show_id, episode_id

),

-- The registry names an episode as the partner's feed does; the operator's list may have the same enclosure
-- under another name.
feed_urls as (

    select
        podcast_key,
        guid,
        {{ explode('enclosure_urls') }} as enclosure_url
    from {{ ref('int_feed_episodes') }}
    where guid in (select named.partner_guid from recorded as named)

),

feed_episodes as (

    select
        feed_urls.podcast_key,
        feed_urls.guid,
        min(enclosures.episode_key) as episode_key
    from feed_urls
    inner join enclosures
        on feed_urls.enclosure_url = enclosures.enclosure_url
    group by feed_urls.podcast_key, feed_urls.guid

)

select
    recorded.collaboration_id,
    recorded.tenant,
    recorded.type,
    shows.show_id,
    partners.show_id as partner_show_id,
    {{ text_key('shows.counted_show_id') }} as show_key,
    {{ text_key('partners.counted_show_id') }} as partner_show_key,
    recorded.partner_guid as episode_id,
    coalesce(episodes.episode_key, feed_episodes.episode_key) as episode_key,
    recorded.starts_us,
    least(recorded.starts_us + {{ exposure_us() }}, recorded.ends_us) as exposure_ends_us,
    recorded.cost,
    recorded.currency,
    recorded.notes,
    recorded.created_us
from recorded
left join podcasts as shows
    on recorded.podcast_key = shows.podcast_key
left join podcasts as partners
    on recorded.partner_key = partners.podcast_key
left join episodes
    on
        partners.show_id = episodes.show_id
        and recorded.partner_guid = episodes.episode_id
left join feed_episodes
    on
        recorded.partner_key = feed_episodes.podcast_key
        and recorded.partner_guid = feed_episodes.guid
