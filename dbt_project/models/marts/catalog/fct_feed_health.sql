with podcasts as (

    select
        podcast_key,
        show_id,
        feed_url,
        registry_state,
        registered_at
    from {{ ref('dim_podcasts') }}

),

feed_state as (

    select
        *,
        {{ promise_s('tier') }} as promise_s
    from {{ ref('stg_lake__feed_state') }}

),

clock as (

    select max(polled_us) as as_of_us from {{ ref('stg_lake__feed_state') }}

),

aged as (

    select
        feed_state.*,
        clock.as_of_us,
        {{ int_div('(clock.as_of_us - feed_state.polled_us)', '1000000') }} as poll_age_s
    from feed_state
    cross join clock

)

select
    podcasts.podcast_key,
    podcasts.show_id,
    podcasts.feed_url,
    podcasts.registry_state,
    podcasts.registered_at,
    aged.tier,
    aged.tier_reason,
    case
        when aged.polls is null then 'waiting'
        when aged.reason is null then 'good'
        when aged.fetched_us is null then 'never_good'
        else 'failing'
    end as health,
    aged.status,
    aged.reason,
    aged.detail,
    coalesce(aged.failures, 0) as failures,
    {{ us_to_timestamp('aged.failing_since_us') }} as failing_since_at,
    coalesce(aged.polls, 0) as polls,
    {{ us_to_timestamp('aged.polled_us') }} as polled_at,
    {{ us_to_timestamp('aged.fetched_us') }} as fetched_at,
    {{ us_to_timestamp('aged.next_due_us') }} as next_due_at,
    {{ us_to_timestamp('aged.hinted_us') }} as hinted_at,
    cast(aged.promise_s as bigint) as promise_s,
    aged.poll_age_s,
    -- greatest() passes over nulls: without a promise none is broken.
    cast(
        case when aged.promise_s is not null then greatest(aged.poll_age_s - aged.promise_s, 0) end as bigint
    ) as overdue_s,
    coalesce(aged.flaps, 0) as flaps,
    coalesce(aged.deltas, 0) as deltas,
    coalesce(aged.audits, 0) as audits,
    coalesce(aged.mismatches, 0) as mismatches,
    {{ us_to_timestamp('aged.as_of_us') }} as as_of
from podcasts
left join aged
    on podcasts.podcast_key = aged.podcast_key
