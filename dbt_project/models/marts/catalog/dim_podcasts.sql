with registered as (

    select * from {{ ref('stg_lake__registered') }}

),

listed as (

    select * from {{ ref('stg_lake__episodes') }}

),

named_shows as (

    {{ named_shows('listed', 'registered') }}

),

feed_state as (

    select * from {{ ref('stg_lake__feed_state') }}

),

records as (

    {{ newest(ref('stg_lake__podcasts'), 'podcast_key') }}

),

-- Polled podcasts that the registry does not list (any more) stay: their history does.
tracked as (

    select
        registered.show_id,
        registered.podcast_guid,
        registered.itunes_id,
        registered.podcastindex_id,
        registered.reason as registry_reason,
        registered.since_us,
        feed_state.tier,
        feed_state.tier_reason,
        feed_state.sequence,
        feed_state.polled_us,
        feed_state.fetched_us,
        feed_state.next_due_us,
        feed_state.changed_us,
        coalesce(registered.podcast_key, feed_state.podcast_key) as podcast_key,
        coalesce(feed_state.feed_url, registered.feed_url) as feed_url,
        coalesce(registered.state, 'unregistered') as registry_state,
        coalesce(registered.is_customer, false) as is_customer,
        coalesce(registered.is_lead, false) as is_lead
    from registered
    full outer join feed_state
        on registered.podcast_key = feed_state.podcast_key

),

-- The clock of the marts is the last poll of all, so that a build can be repeated.
clock as (

    select max(polled_us) as as_of_us from {{ ref('stg_lake__feed_state') }}

)

select
    -- ids
    tracked.podcast_key,
    case
        when tracked.show_id is not null then tracked.show_id
        when named_shows.show_id is null then coalesce(tracked.podcast_guid, records.podcast_guid)
    end as show_id,
    tracked.feed_url,
    records.original_url,
    coalesce(records.podcast_guid, tracked.podcast_guid) as podcast_guid,
    records.guid_source,
    tracked.itunes_id,
    tracked.podcastindex_id,

    -- what it is
    records.title,
    records.subtitle,
    records.author,
    records.link,
    records.image_url,
    records.language,
    {{ list_text('records.categories', '; ') }} as categories,
    records.copyright,
    records.generator,
    records.is_explicit,
    records.show_type,
    records.is_blocked,
    records.is_complete,
    records.medium,
    records.is_locked,
    records.license,
    records.update_frequency,
    records.uses_podping,
    records.hub_url,

    -- its episodes
    records.episode_count,
    {{ us_to_timestamp('records.newest_us') }} as newest_published_at,
    {{ us_to_timestamp('records.oldest_us') }} as oldest_published_at,

    -- tracking
    tracked.registry_state,
    tracked.registry_reason,
    tracked.is_customer,
    tracked.is_lead,
    {{ us_to_timestamp('tracked.since_us') }} as registered_at,
    tracked.tier,
    tracked.tier_reason,
    tracked.sequence,
    {{ us_to_timestamp('tracked.polled_us') }} as polled_at,
    {{ us_to_timestamp('tracked.fetched_us') }} as fetched_at,
    {{ us_to_timestamp('tracked.next_due_us') }} as next_due_at,
    {{ us_to_timestamp('tracked.changed_us') }} as content_changed_at,
    {{ int_div('(clock.as_of_us - tracked.fetched_us)', '1000000') }} as record_age_s
from tracked
cross join clock
left join records
    on tracked.podcast_key = records.podcast_key
left join named_shows
    on coalesce(tracked.podcast_guid, records.podcast_guid) = named_shows.show_id
