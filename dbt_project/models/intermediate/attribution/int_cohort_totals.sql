{#
  What the solve needs of each target beside the rates. Written last: it holds the `input_mark` by which the next
  build tells what is due (int_collaborations), so a build that died is done again.
#}
{{ config(materialized='incremental', incremental_strategy='replace_targets') }}
-- depends_on: {{ ref('int_cohort_rates') }}, {{ ref('int_cohort_days') }}, {{ ref('int_overlaps') }}
with due as (

    select * from {{ ref('int_collaborations') }}
    where is_due

),

cohorts as (

    select * from {{ ref('int_cohorts') }}

),

reached_devices as (

    select
        target_id,
        device_key,
        count(*) as days
    from {{ ref('int_index_downloads') }}
    where cohort = 'exposed'
    group by target_id, device_key

),

-- Behind a shared address one device is many people. Each fetches an episode once, so there its days count.
reach as (

    select
        reached_devices.target_id,
        sum(
            case
                when {{ is_shared_by('devices.shared_us', 'due.final_us') }} and due.episode_key is not null
                    then reached_devices.days
                else 1
            end
        ) as reached
    from reached_devices
    inner join due
        on reached_devices.target_id = due.target_id
    inner join {{ ref('int_device_keys') }} as devices
        on reached_devices.device_key = devices.device_key
    group by reached_devices.target_id

),

exposed as (

    select
        target_id,
        count(case when is_known then 1 end) as known,
        count(case when not is_known then 1 end) as exposed,
        {{ exact_sum('case when not is_known then response else 0.0 end') }} as response
    from cohorts
    where cohort = 'exposed'
    group by target_id

),

-- Of the reach of an episode of B, how much has come so long after it came out.
placebo_reach as (

    select
        downloads.target_id,
        downloads.device_key,
        min(downloads.started_us - episodes.aired_us) as after_us
    from {{ ref('int_index_downloads') }} as downloads
    inner join {{ ref('int_placebo_episodes') }} as episodes
        on
            downloads.target_id = episodes.target_id
            and downloads.placebo_key = episodes.episode_key
    where downloads.cohort = 'placebo'
    group by downloads.target_id, downloads.placebo_key, downloads.device_key

),

arrived as (

    select
        placebo_reach.target_id,
        count(case when placebo_reach.after_us <= due.as_of_us - due.starts_us then 1 end) * 1.0
        / count(case when placebo_reach.after_us < due.exposure_ends_us - due.starts_us then 1 end) as arrived
    from placebo_reach
    inner join due
        on placebo_reach.target_id = due.target_id
    group by placebo_reach.target_id

),

converts as (

    select
        cohorts.target_id,
        cohorts.cohort,
        cohorts.device_key,
        count(distinct downloads.episode_key) as episodes
    from cohorts
    inner join due
        on cohorts.target_id = due.target_id
    inner join {{ ref('int_device_downloads') }} as downloads
        on
            due.show_key = downloads.show_key
            and cohorts.device_key = downloads.device_key
            and cohorts.converted_us <= downloads.started_us
            and cohorts.converted_us + {{ retention_us() }} >= downloads.started_us
            and due.as_of_us >= downloads.started_us
    where cohorts.cohort in ('exposed', 'contemporaneous') and not cohorts.is_known
    group by cohorts.target_id, cohorts.cohort, cohorts.device_key

),

retention as (

    select
        target_id,
        count(case when cohort = 'exposed' and episodes >= 2 then 1 end) as retained_2,
        count(case when cohort = 'exposed' and episodes >= 4 then 1 end) as retained_4,
        avg(case when cohort = 'contemporaneous' then case when episodes >= 2 then 1.0 else 0.0 end end)
            as organic_retained_2_share,
        avg(case when cohort = 'contemporaneous' then case when episodes >= 4 then 1.0 else 0.0 end end)
            as organic_retained_4_share
    from converts
    group by target_id

)

select
    due.target_id,
    due.input_mark,
    due.definition_mark,
    due.data_first_us,
    due.has_history,
    due.has_look_back,
    due.placebo_episodes,
    due.as_of_us,
    coalesce(reach.reached, 0) as reached,
    coalesce(exposed.known, 0) as known,
    coalesce(exposed.exposed, 0) as exposed,
    coalesce(exposed.response, 0.0) as response,
    {{ response(follow_up_us()) }} as full_response,
    case
        when due.as_of_us >= due.exposure_ends_us then 1.0
        -- Without earlier episodes as if listeners came evenly.
        else greatest(
            coalesce(
                arrived.arrived,
                (due.as_of_us - due.starts_us) * 1.0 / (due.exposure_ends_us - due.starts_us)
            ),
            0.0
        )
    end as arrived,
    coalesce(retention.retained_2, 0) as retained_2,
    coalesce(retention.retained_4, 0) as retained_4,
    retention.organic_retained_2_share,
    retention.organic_retained_4_share
from due
left join reach
    on due.target_id = reach.target_id
left join exposed
    on due.target_id = exposed.target_id
left join arrived
    on due.target_id = arrived.target_id
left join retention
    on due.target_id = retention.target_id
