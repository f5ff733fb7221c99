{#
  Downloads at which a device enters a cohort of a due target, those of the pools apart (int_listener_activity has
  them): of the exposed, of those held out, who got the episode without the collaboration, and of the placebo
  episodes.
#}
with due as (

    select * from {{ ref('int_collaborations') }}
    where is_due

),

downloads as (

    select * from {{ ref('int_device_downloads') }}

),

placebos as (

    select
        placebo_episodes.target_id,
        placebo_episodes.episode_key,
        placebo_episodes.aired_us
    from {{ ref('int_placebo_episodes') }} as placebo_episodes
    inner join due
        on placebo_episodes.target_id = due.target_id

),

of_exposure as (

    select
        due.target_id,
        downloads.device_key,
        downloads.started_us
    from downloads
    inner join due
        on downloads.episode_key = due.episode_key
    where
        downloads.started_us >= due.starts_us
        and downloads.started_us < due.exposure_ends_us
    union all
    select
        due.target_id,
        downloads.device_key,
        downloads.started_us
    from downloads
    inner join due
        on downloads.show_key = due.partner_show_key and due.episode_key is null and due.episode_id is null
    where
        downloads.started_us >= due.starts_us
        and downloads.started_us < due.exposure_ends_us

)

select
    of_exposure.target_id,
    case when held_out.device_key is null then 'exposed' else 'held_out' end as cohort,
    cast(0 as bigint) as placebo_key,
    of_exposure.device_key,
    of_exposure.started_us
from of_exposure
left join {{ ref('int_held_out_devices') }} as held_out
    on
        of_exposure.target_id = held_out.target_id
        and of_exposure.device_key = held_out.device_key
union all
select
    placebos.target_id,
    'placebo' as cohort,
    placebos.episode_key as placebo_key,
    downloads.device_key,
    downloads.started_us
from downloads
inner join placebos
    on downloads.episode_key = placebos.episode_key
where
    downloads.started_us >= placebos.aired_us
    and downloads.started_us < placebos.aired_us + {{ exposure_us() }}
