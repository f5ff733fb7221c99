{#
  The cohorts of the due targets, one row a device that enters one (ATTRIBUTION §2.3 to 2.6):

  exposed          downloads of the collaboration's episode in the exposure window
  held_out         the same by devices that dynamic insertion left the collaboration out for
  contemporaneous  downloads of shows other than A and B in the same days, at addresses that neither the
                   collaboration nor a sibling reached: another device there may be the same listener's
  placebo          downloads of each earlier episode of B in its first 14 days (placebo_key: the episode)
  history          downloads of shows other than A and B in the same 14 days as that episode's, by whomever

  A device enters by its first tenured download. One that knew A is kept among the exposed alone, as `is_known`.
  Pools are of the panel's devices; of those beside placebo episodes, of which there are about five, a smaller
  one's. `followed` is the share of its 30 days that can be seen yet.
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
        'contemporaneous' as cohort,
        cast(0 as bigint) as placebo_key,
        show_key,
        partner_show_key,
        final_us,
        starts_us as from_us,
        starts_us + {{ exposure_us() }} as until_us
    from due
    union all
    select
        due.target_id,
        'history' as cohort,
        placebos.episode_key as placebo_key,
        due.show_key,
        due.partner_show_key,
        due.final_us,
        placebos.aired_us as from_us,
        placebos.aired_us + {{ exposure_us() }} as until_us
    from due
    inner join {{ ref('int_placebo_episodes') }} as placebos
        on due.target_id = placebos.target_id

),

-- Each device's first download in a window: the one whose predecessor lies before the window.
firsts as (

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
    from panel
    inner join pool_windows as windows
        on
            panel.previous_us < windows.from_us
            and panel.started_us >= windows.from_us
    where
        panel.started_us < windows.until_us
        and (panel.shared_us is null or panel.shared_us >= windows.final_us)
        and (windows.cohort = 'contemporaneous' or {{ in_panel('panel.device_key', placebo_panel_keys()) }})

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

),

entries as (

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
    where activity.shared_us is null or activity.shared_us >= due.final_us
    group by downloads.target_id, downloads.cohort, downloads.placebo_key, downloads.device_key

),

-- A's own downloads, of which most devices have none.
of_show as (

    select
        downloads.show_key,
        downloads.device_key,
        downloads.started_us
    from {{ ref('int_device_downloads') }} as downloads
    where downloads.show_key in (select due.show_key from due)

),

met as (

    select
        entries.target_id,
        entries.cohort,
        entries.placebo_key,
        entries.device_key,
        max(case when of_show.started_us <= entries.at_us then of_show.started_us end) as last_us,
        min(case when of_show.started_us > entries.at_us then of_show.started_us end) as next_us
    from entries
    inner join due
        on entries.target_id = due.target_id
    inner join of_show
        on
            due.show_key = of_show.show_key
            and entries.device_key = of_show.device_key
    group by entries.target_id, entries.cohort, entries.placebo_key, entries.device_key

),

described as (

    select
        entries.*,
        due.genre,
        due.as_of_us,
        coalesce(met.last_us >= entries.at_us - {{ look_back_us() }}, false) as is_known,
        case when met.next_us <= entries.at_us + {{ follow_up_us() }} then met.next_us end as converted_us,
        least({{ follow_up_us() }}, due.as_of_us - entries.at_us) as followed_us
    from entries
    inner join due
        on entries.target_id = due.target_id
    left join met
        on
            entries.target_id = met.target_id
            and entries.cohort = met.cohort
            and entries.placebo_key = met.placebo_key
            and entries.device_key = met.device_key

),

members as (

    select * from described
    where cohort = 'exposed' or not is_known

),

-- Many targets share an entry and a genre.
questions as (

    select distinct
        device_key,
        at_us,
        genre
    from members
    where genre is not null

),

genre_downloads as (

    select
        downloads.device_key,
        downloads.started_us,
        shows.genre
    from {{ ref('int_device_downloads') }} as downloads
    inner join {{ ref('int_show_keys') }} as shows
        on downloads.show_key = shows.show_key
    where shows.genre in (select due.genre from due)

),

answers as (

    select
        questions.device_key,
        questions.at_us,
        questions.genre,
        count(*) as downloads_45d
    from genre_downloads
    inner join questions
        on
            genre_downloads.device_key = questions.device_key
            and genre_downloads.genre = questions.genre
            and genre_downloads.started_us < questions.at_us
            and genre_downloads.started_us >= questions.at_us - {{ strata_us() }}
    group by questions.device_key, questions.at_us, questions.genre

)

select
    members.target_id,
    members.cohort,
    members.placebo_key,
    members.device_key,
    members.at_us,
    members.is_known,
    case
        when coalesce(answers.downloads_45d, 0) >= 4 then 6
        when coalesce(answers.downloads_45d, 0) >= 1 then 3
        else 0
    end
    + case
        when members.downloads_45d >= 10 then 2
        when members.downloads_45d >= 4 then 1
        else 0
    end as stratum,
    members.converted_us,
    members.followed_us / {{ follow_up_us() }}.0 as followed,
    {{ response('members.followed_us') }} as response
from members
left join answers
    on
        members.device_key = answers.device_key
        and members.at_us = answers.at_us
        and members.genre = answers.genre
