{#
  The collaborations of the registry as the marts name their shows and episodes; one whose shows the marts do not
  know is none to them yet.
#}
with recorded as (

    select * from {{ ref('stg_lake__collaborations') }}

),

podcasts as (

    select * from {{ ref('dim_podcasts') }}

),

episodes as (

    select
        show_id,
        episode_id,
        min(episode_key) as episode_key,
        min(published_us) as published_us
    from {{ ref('int_catalog_enclosures') }}
    group by show_id, episode_id

)

select
    recorded.collaboration_id,
    recorded.tenant,
    recorded.type,
    shows.show_id,
    partners.show_id as partner_show_id,
    {{ text_key('shows.show_id') }} as show_key,
    {{ text_key('partners.show_id') }} as partner_show_key,
    recorded.partner_guid as episode_id,
    coalesce(episodes.episode_key, recorded.episode_key) as episode_key,
    recorded.starts_us,
    least(recorded.starts_us + {{ exposure_us() }}, recorded.ends_us) as exposure_ends_us,
    recorded.cost,
    recorded.currency,
    recorded.notes
from recorded
left join podcasts as shows
    on recorded.podcast_key = shows.podcast_key
left join podcasts as partners
    on recorded.partner_key = partners.podcast_key
left join episodes
    on
        partners.show_id = episodes.show_id
        and recorded.partner_guid = episodes.episode_id
