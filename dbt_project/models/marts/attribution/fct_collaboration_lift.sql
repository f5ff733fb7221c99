{#
  What each recorded collaboration brought (PACE, docs/attribution.md): the incremental figure with its interval, what
  it rests on, and the gross figures beside.
#}
with recorded as (

    select * from {{ ref('int_recorded_collaborations') }}

),

targets as (

    select * from {{ ref('int_collaborations') }}

),

totals as (

    select * from {{ ref('int_cohort_totals') }}

),

solutions as (

    select * from {{ ref('int_collaboration_solutions') }}

),

shows as (

    select * from {{ ref('int_show_keys') }}

),

episodes as (

    select
        episode_key,
        min(episode_title) as episode_title
    from {{ ref('int_catalog_enclosures') }}
    group by episode_key

),

pools as (

    select
        target_id,
        sum(case when cohort = 'contemporaneous' then keys else 0 end) as pool_keys,
        sum(case when cohort = 'history' then keys else 0 end) as history_keys
    from {{ ref('int_cohort_rates') }}
    group by target_id

),

siblings as (

    select
        target_id,
        max(common_keys) as common_keys
    from {{ ref('int_overlaps') }}
    group by target_id

),

gross as (

    select
        collaboration_id,
        max(case when rule = 'last_touch' then new_listeners end) as gross_last_touch,
        max(case when rule = 'first_touch' then new_listeners end) as gross_first_touch,
        max(case when rule = 'linear' then new_listeners end) as gross_linear,
        max(case when rule = 'time_decay' then new_listeners end) as gross_time_decay
    from {{ ref('fct_attribution_gross') }}
    where window_days = 30
    group by collaboration_id

),

data_ends as (

    select
        min(first_us) as first_us,
        max(last_us) as last_us
    from {{ ref('int_device_keys') }}

),

measured as (

    select
        recorded.collaboration_id,
        recorded.tenant,
        recorded.show_id,
        shows.show_title,
        recorded.partner_show_id,
        partners.show_title as partner_show_title,
        recorded.episode_key,
        recorded.episode_id,
        episodes.episode_title,
        recorded.type,
        recorded.starts_us,
        recorded.exposure_ends_us,
        recorded.exposure_ends_us + {{ follow_up_us() }} as final_us,
        coalesce(totals.as_of_us, data_ends.last_us) as as_of_us,
        case
            when data_ends.last_us is null or targets.target_id is null then 'no_data'
            when recorded.starts_us > data_ends.last_us then 'planned'
            -- An episode that the marts do not know was heard by nobody that they could tell.
            when recorded.episode_id is not null and recorded.episode_key is null then 'no_data'
            when recorded.exposure_ends_us <= data_ends.first_us then 'no_data'
            -- By what it was measured at: one whose history went before its end is not measured again.
            when
                coalesce(totals.as_of_us, data_ends.last_us)
                < recorded.exposure_ends_us + {{ follow_up_us() }}
                then 'provisional'
            else 'final'
        end as state,
        recorded.cost,
        recorded.currency,
        recorded.notes,
        recorded.created_us,
        totals.reached as reach,
        totals.exposed,
        totals.known * 1.0 / nullif(totals.known + totals.exposed, 0) as known_share,
        totals.placebo_episodes,
        totals.has_look_back,
        totals.retained_2 - solutions.organic * totals.organic_retained_2_share as retained_2,
        totals.retained_4 - solutions.organic * totals.organic_retained_4_share as retained_4,
        pools.pool_keys,
        pools.history_keys,
        targets.siblings,
        coalesce(siblings.common_keys, 0) * 1.0 / nullif(totals.exposed, 0) as overlap_share,
        targets.genre,
        solutions.*
    from recorded
    cross join data_ends
    left join targets
        on recorded.collaboration_id = targets.target_id
    left join totals
        on recorded.collaboration_id = totals.target_id
    left join solutions
        on recorded.collaboration_id = solutions.target_id
    left join pools
        on recorded.collaboration_id = pools.target_id
    left join siblings
        on recorded.collaboration_id = siblings.target_id
    left join shows
        on recorded.show_id = shows.show_id
    left join shows as partners
        on recorded.partner_show_id = partners.show_id
    left join episodes
        on recorded.episode_key = episodes.episode_key

)

select
    -- ids
    measured.collaboration_id,
    measured.tenant,
    measured.show_id,
    measured.show_title,
    measured.partner_show_id,
    measured.partner_show_title,
    measured.episode_key,
    measured.episode_id,
    measured.episode_title,
    measured.type,
    measured.notes,

    -- when
    measured.state,
    {{ us_to_timestamp('measured.starts_us') }} as starts_at,
    {{ us_to_timestamp('measured.exposure_ends_us') }} as exposure_ends_at,
    {{ us_to_timestamp('measured.final_us') }} as final_at,
    {{ us_to_timestamp('measured.as_of_us') }} as as_of,
    {{ us_to_timestamp('measured.created_us') }} as recorded_at,

    -- cohort
    cast(measured.reach as bigint) as reach,
    cast(measured.exposed as bigint) as exposed,
    measured.known_share,
    cast(measured.converted as bigint) as converted,
    measured.organic,

    -- the answer: no number where too little was seen
    {{ where_sufficient('measured.new_listeners') }} as new_listeners,
    {{ where_sufficient('measured.low') }} as new_listeners_low,
    {{ where_sufficient('measured.high') }} as new_listeners_high,
    {{ where_sufficient('measured.forecast') }} as forecast,
    {{ where_sufficient('measured.forecast_low') }} as forecast_low,
    {{ where_sufficient('measured.forecast_high') }} as forecast_high,
    coalesce(
        measured.state in ('provisional', 'final') and measured.is_insufficient, false
    ) as is_insufficient,
    case
        when measured.state in ('provisional', 'final') then cast(measured.upper_bound as bigint)
    end as at_most,
    {{ where_sufficient('measured.new_listeners') }}
    / nullif(measured.reach * (1 - measured.known_share), 0) as conversion_rate,
    {{ where_sufficient('measured.excess') }} / nullif(measured.organic, 0) as lift,
    {{ where_sufficient('measured.retained_2') }} as retained_2,
    {{ where_sufficient('measured.retained_4') }} as retained_4,

    -- cost
    measured.cost,
    measured.currency,
    case
        when {{ where_sufficient('measured.new_listeners') }} > 0 then measured.cost / measured.new_listeners
    end as cost_per_new_listener,
    case
        when {{ where_sufficient('measured.high') }} > 0 then measured.cost / measured.high
    end as cost_per_new_listener_low,
    case
        when {{ where_sufficient('measured.low') }} > 0 then measured.cost / measured.low
    end as cost_per_new_listener_high,

    -- what it rests on
    measured.genre,
    measured.theta,
    measured.theta_se,
    measured.theta_source,
    cast(measured.placebo_episodes as bigint) as placebo_episodes,
    cast(measured.placebo_converts as bigint) as placebo_converts,
    measured.placebo_expected,
    cast(measured.pool_keys as bigint) as pool_keys,
    cast(measured.history_keys as bigint) as history_keys,
    measured.pool_rate,
    measured.history_rate,
    measured.rate,
    measured.se,
    measured.linkability,
    measured.linkability_se,
    measured.linkability_source,
    measured.k,
    cast(measured.k_triples as bigint) as k_triples,
    measured.widening,
    measured.is_calibrated,
    cast(measured.siblings as bigint) as siblings,
    measured.overlap_share,

    -- for sums alone, which leave none out
    measured.new_listeners as estimate,
    measured.low as estimate_low,
    measured.high as estimate_high,
    cast(measured.least_exposed as bigint) as least_exposed,
    measured.least_events,

    -- flags
    coalesce(measured.has_look_back, false) as has_look_back,
    coalesce(measured.created_us >= measured.exposure_ends_us, false) as is_recorded_afterwards,
    measured.has_pre_trend,
    measured.has_concurrent_spike,
    measured.is_split,

    -- randomised holdout
    cast(measured.holdout_keys as bigint) as holdout_keys,
    cast(measured.holdout_converted as bigint) as holdout_converted,
    measured.holdout_new_listeners,
    measured.holdout_low,
    measured.holdout_high,
    measured.holdout_se,

    -- gross
    gross.gross_last_touch,
    gross.gross_first_touch,
    gross.gross_linear,
    gross.gross_time_decay,
    measured.model_version
from measured
left join gross
    on measured.collaboration_id = gross.collaboration_id
