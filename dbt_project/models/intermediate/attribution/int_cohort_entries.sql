{#
  Who enters the cohorts of the due targets, one row a device that enters one, by its first tenured download there
  (ATTRIBUTION §2.3 to 2.6):

  exposed          downloads of the collaboration's episode in the exposure window
  held_out         the same by devices that dynamic insertion left the collaboration out for
  contemporaneous  downloads of shows other than A and B in the same days, at addresses that neither the
                   collaboration nor a sibling reached: another device there may be the same listener's
  placebo          downloads of each earlier episode of B in its first 14 days (placebo_key: the episode)
  history          downloads of shows other than A and B in the same 14 days as that episode's, by whomever

  Pools are of the panel's devices; those of placebo triples, and those beside placebo episodes, of smaller parts of
  it. A table of its own: told how many there are, the engine joins them the right way round.
#}
-- depends_on: {{ ref('int_device_keys') }}
with due as (

    select * from {{ ref('int_collaborations') }}
    where is_due

),

activity as (

    select * from {{ ref('int_listener_activity') }}

),

panel as (

    select * from activity
    where {{ in_panel('device_key') }}

),

-- A download is its device's first in the windows that begin after the one before it, and up to it. So it
-- is told by each of these days, and meets only windows of its own: none is held against the whole history.
panel_days as (

    select
        *,
        {{ each_date(
            us_to_date('greatest(previous_us, started_us - ' ~ exposure_us() ~ ')'), us_to_date('started_us')
        ) }} as from_date
    from panel

),

touched as (

    select distinct
        siblings.target_id,
        devices.address_key
    from {{ ref('int_siblings') }} as siblings
    inner join {{ ref('int_exposures') }} as exposures
        on siblings.other_id = exposures.target_id
    inner join {{ ref('int_device_keys') }} as devices
        on exposures.device_key = devices.device_key

),

pool_windows as (

    select
        target_id,
        is_placebo,
        'contemporaneous' as cohort,
        cast(0 as bigint) as placebo_key,
        show_key,
        partner_show_key,
        final_us,
        starts_us as from_us,
        starts_us + {{ exposure_us() }} as until_us,
        {{ us_to_date('starts_us') }} as from_date
    from due
    union all
    select
        due.target_id,
        due.is_placebo,
        'history' as cohort,
        placebos.episode_key as placebo_key,
        due.show_key,
        due.partner_show_key,
        due.final_us,
        placebos.aired_us as from_us,
        placebos.aired_us + {{ exposure_us() }} as until_us,
        {{ us_to_date('placebos.aired_us') }} as from_date
    from due
    inner join {{ ref('int_placebo_episodes') }} as placebos
        on due.target_id = placebos.target_id

),

-- Each device's first download in a window: the one whose predecessor lies before the window.
firsts as (

    {% for cohort, is_placebo, most in (
        ('contemporaneous', 'false', panel_keys()),
        ('contemporaneous', 'true', placebo_panel_keys()),
        ('history', 'windows.is_placebo', history_panel_keys()),
    ) %}
        select
            windows.target_id,
            windows.cohort,
            windows.placebo_key,
            windows.show_key,
            windows.partner_show_key,
            windows.until_us,
            panel.device_key,
            panel.address_key,
            panel.started_us as at_us,
            panel.downloads_45d,
            coalesce(panel.show_key in (windows.show_key, windows.partner_show_key), false) as is_of_pair
        from panel_days as panel
        inner join pool_windows as windows
            on panel.from_date = windows.from_date
        where
            windows.cohort = '{{ cohort }}'
            and windows.is_placebo = {{ is_placebo }}
            and {{ in_panel('panel.device_key', most) }}
            and panel.previous_us < windows.from_us
            and panel.started_us >= windows.from_us
            and panel.started_us < windows.until_us
            and not {{ is_shared_by('panel.shared_us', 'windows.final_us') }}
        {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

pool_entries as (

    select
        target_id,
        cohort,
        placebo_key,
        device_key,
        address_key,
        at_us,
        downloads_45d
    from firsts
    where not is_of_pair
    union all
    -- Of a device that downloaded A or B first, what it downloaded then.
    select
        firsts.target_id,
        firsts.cohort,
        firsts.placebo_key,
        firsts.device_key,
        firsts.address_key,
        min(panel.started_us) as at_us,
        min_by(panel.downloads_45d, panel.started_us) as downloads_45d
    from firsts
    inner join panel
        on
            firsts.device_key = panel.device_key
            and firsts.at_us <= panel.started_us
            and firsts.until_us > panel.started_us
    where
        firsts.is_of_pair
        and panel.show_key is distinct from firsts.show_key
        and panel.show_key is distinct from firsts.partner_show_key
    group by
        firsts.target_id, firsts.cohort, firsts.placebo_key, firsts.device_key, firsts.address_key

)

select
    pool_entries.target_id,
    pool_entries.cohort,
    pool_entries.placebo_key,
    pool_entries.device_key,
    pool_entries.at_us,
    pool_entries.downloads_45d
from pool_entries
left join touched
    on
        pool_entries.target_id = touched.target_id
        and pool_entries.address_key = touched.address_key
        and pool_entries.cohort = 'contemporaneous'
where touched.address_key is null
union all
select
    downloads.target_id,
    downloads.cohort,
    downloads.placebo_key,
    downloads.device_key,
    min(activity.started_us) as at_us,
    min_by(activity.downloads_45d, activity.started_us) as downloads_45d
from {{ ref('int_index_downloads') }} as downloads
inner join due
    on downloads.target_id = due.target_id
inner join activity
    on
        downloads.device_key = activity.device_key
        and downloads.started_us = activity.started_us
where not {{ is_shared_by('activity.shared_us', 'due.final_us') }}
group by downloads.target_id, downloads.cohort, downloads.placebo_key, downloads.device_key
