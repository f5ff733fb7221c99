{#
  The cohorts of the due targets: int_cohort_entries, and whether each device knew A, its stratum, when it took up A,
  and how far it could be followed (ATTRIBUTION §2.3). One that knew A is kept among the exposed alone, as `is_known`.
  `followed` is the share of its 30 days that can be seen yet.
#}
with due as (

    select * from {{ ref('int_collaborations') }}
    where is_due

),

entries as (

    select * from {{ ref('int_cohort_entries') }}

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
        case
            when met.next_us <= least(entries.at_us + {{ follow_up_us() }}, due.as_of_us) then met.next_us
        end as converted_us,
        greatest(least({{ follow_up_us() }}, due.as_of_us - entries.at_us), 0) as followed_us
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
