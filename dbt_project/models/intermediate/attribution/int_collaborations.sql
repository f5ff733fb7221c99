{#
  What is to be measured: the recorded collaborations whose shows the marts know, and placebo triples (target_id
  below 0). `input_mark` is one text of all that the figures of a target depend on: the downloads up to the end of
  its follow-up, its siblings and whom they were held out of, the placebo episodes, the shows of A's genre. A target is
  due when that differs from what it was measured by, so late files and corrections reach exactly those they concern.
  One whose history is no longer kept stays as it was measured.
#}
-- depends_on: {{ ref('int_device_downloads') }}
{% set measured = remembered('int_cohort_totals') %}
{% set is_later = measured is not none and not flags.FULL_REFRESH %}

with recorded as (

    select * from {{ ref('int_recorded_collaborations') }}

),

triples as (

    select * from {{ ref('int_placebo_triples') }}

),

spans as (

    select
        target_id,
        min(other_starts_us) as first_us,
        max(other_exposure_ends_us) as last_exposure_us,
        count(*) - 1 as siblings,
        bit_xor(other_mark) as siblings_mark
    from {{ ref('int_siblings') }}
    group by target_id

),

targets as (

    select
        recorded.collaboration_id as target_id,
        false as is_placebo,
        recorded.tenant,
        recorded.type,
        recorded.show_id,
        recorded.partner_show_id,
        recorded.show_key,
        recorded.partner_show_key,
        recorded.episode_id,
        recorded.episode_key,
        recorded.starts_us,
        recorded.exposure_ends_us,
        recorded.cost,
        recorded.currency,
        recorded.notes
    from recorded
    union all
    select
        target_id,
        true as is_placebo,
        cast(null as varchar) as tenant,
        'placebo' as type, -- noqa: RF04
        show_id,
        partner_show_id,
        show_key,
        partner_show_key,
        episode_id,
        episode_key,
        starts_us,
        exposure_ends_us,
        cast(null as double) as cost, -- noqa: RF04
        cast(null as varchar) as currency,
        cast(null as varchar) as notes
    from triples

),

placebos as (

    select
        target_id,
        count(*) as placebo_episodes,
        bit_xor({{ xor_bits('episode_key', 'aired_us') }}) as placebos_mark
    from {{ ref('int_placebo_episodes') }}
    group by target_id

),

shows as (

    select * from {{ ref('int_show_keys') }}

),

genres as (

    select
        genre,
        bit_xor(show_key) as genre_mark
    from shows
    where genre is not null
    group by genre

),

-- All days up to each one, as one number.
days as (

    select
        date,
        bit_xor({{ text_key("concat(cast(date as varchar), ' ', day_mark)") }}) over (
            order by date
            rows between unbounded preceding and current row
        ) as days_mark,
        lead(date) over (order by date) as next_date
    from {{ ref('int_device_days') }}

),

data_ends as (

    select
        min(first_us) as first_us,
        max(last_us) as last_us
    from {{ ref('int_device_keys') }}

),

described as (

    select
        targets.*,
        spans.first_us,
        spans.siblings,
        targets.exposure_ends_us + {{ follow_up_us() }} as final_us,
        shows.genre,
        coalesce(placebos.placebo_episodes, 0) as placebo_episodes,
        data_ends.last_us as as_of_us,
        spans.first_us - {{ history_from_us() }} - {{ look_back_us() }} >= data_ends.first_us as has_history,
        concat_ws(
            ' ',
            cast(targets.starts_us as varchar), cast(targets.exposure_ends_us as varchar),
            cast(targets.show_key as varchar), cast(targets.partner_show_key as varchar),
            coalesce(cast(targets.episode_key as varchar), '-'),
            cast(spans.siblings_mark as varchar),
            coalesce(cast(placebos.placebos_mark as varchar), '-'),
            coalesce(cast(genres.genre_mark as varchar), '-'),
            coalesce(cast(days.days_mark as varchar), '-'),
            -- It may end on a day without downloads: no day differs, yet all can be seen.
            case when data_ends.last_us >= targets.exposure_ends_us + {{ follow_up_us() }} then 'over' end
        ) as input_mark
    from targets
    inner join spans
        on targets.target_id = spans.target_id
    cross join data_ends
    left join placebos
        on targets.target_id = placebos.target_id
    left join shows
        on targets.show_key = shows.show_key
    left join genres
        on shows.genre = genres.genre
    left join days
        on
            {{ date_to_us('days.date') }}
            <= greatest(targets.exposure_ends_us + {{ follow_up_us() }}, spans.last_exposure_us)
            and (
                days.next_date is null
                or {{ date_to_us('days.next_date') }}
                > greatest(targets.exposure_ends_us + {{ follow_up_us() }}, spans.last_exposure_us)
            )

)

select
    described.*,
    {% if is_later %}
        measured.target_id is null
        or (
            measured.input_mark <> described.input_mark
            and (described.has_history or not measured.has_history)
        ) as is_due
    {% else %}
        true as is_due
    {% endif %}
from described
{% if is_later %}
    left join {{ measured }} as measured
        on described.target_id = measured.target_id
{% endif %}
