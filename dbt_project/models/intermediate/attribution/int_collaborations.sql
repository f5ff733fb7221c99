{#
  What is to be measured: the recorded collaborations whose shows the marts know, and placebo triples (target_id
  below 0). `input_mark` is one text of all that the figures of a target depend on: the downloads up to as_of_us,
  its siblings and whom they were held out of, the placebo episodes, the shows of A's genre. A target is due when that
  differs from what it was measured by, so late files and corrections reach exactly those they concern. One whose data
  are no longer all kept stays as it was measured, unless it was itself corrected.

  as_of_us: up to when its figures see. That is where the data end, or A's own logs, or B's while it is exposed; once
  the follow-up is over no further than that, and when converts of its last day can be seen for the time of retention
  no further than this.
#}
{{ config(post_hook="{{ forget_due_targets() }}") }}
-- depends_on: {{ ref('int_device_downloads') }}
{% set measured = remembered('int_cohort_totals') %}
{% set is_later = has_column(measured, 'definition_mark') and not flags.FULL_REFRESH %}

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
        bit_xor({{ text_key("concat_ws(' ', cast(episode_key as varchar), cast(aired_us as varchar))") }})
            as placebos_mark
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

-- What a show's own logs span: others' may reach further.
logged as (

    select
        show_id,
        min(first_event_us) as first_us,
        max(last_event_us) as last_us
    from {{ ref('int_show_spans') }}
    group by show_id

),

seen as (

    select
        targets.*,
        spans.first_us,
        spans.last_exposure_us,
        spans.siblings,
        spans.siblings_mark,
        targets.exposure_ends_us + {{ follow_up_us() }} as final_us,
        greatest(data_ends.first_us, coalesce(of_show.first_us, data_ends.first_us)) as show_first_us,
        greatest(data_ends.first_us, coalesce(of_partner.first_us, data_ends.first_us)) as partner_first_us,
        least(
            data_ends.last_us,
            of_show.last_us,
            case when of_partner.last_us < targets.exposure_ends_us then of_partner.last_us end
        ) as last_us
    from targets
    inner join spans
        on targets.target_id = spans.target_id
    cross join data_ends
    left join logged as of_show
        on targets.show_id = of_show.show_id
    left join logged as of_partner
        on targets.partner_show_id = of_partner.show_id

),

bounded as (

    select
        *,
        greatest(show_first_us, partner_first_us) as data_first_us,
        case
            when last_us >= final_us + {{ retention_us() }} then final_us + {{ retention_us() }}
            else least(last_us, final_us)
        end as as_of_us,
        starts_us - {{ look_back_us() }} >= show_first_us as has_look_back,
        first_us - {{ history_from_us() }} - {{ look_back_us() }} >= show_first_us
        and first_us - {{ history_from_us() }} >= partner_first_us as has_history,
        concat_ws(
            ' ',
            cast(starts_us as varchar), cast(exposure_ends_us as varchar),
            cast(show_key as varchar), cast(partner_show_key as varchar),
            coalesce(cast(episode_key as varchar), '-'),
            cast(siblings_mark as varchar)
        ) as definition_mark
    from seen

),

described as (

    select
        targets.*,
        shows.genre,
        coalesce(placebos.placebo_episodes, 0) as placebo_episodes,
        concat_ws(
            ' ',
            targets.definition_mark,
            case when targets.has_look_back then 'new' else 'first' end,
            coalesce(cast(placebos.placebos_mark as varchar), '-'),
            coalesce(cast(genres.genre_mark as varchar), '-'),
            coalesce(cast(days.days_mark as varchar), '-'),
            -- It may end on a day without downloads: no day differs, yet more can be seen.
            cast(targets.as_of_us as varchar)
        ) as input_mark
    from bounded as targets
    left join placebos
        on targets.target_id = placebos.target_id
    left join shows
        on targets.show_key = shows.show_key
    left join genres
        on shows.genre = genres.genre
    left join days
        on
            days.date <= {{ us_to_local_date('greatest(targets.as_of_us, targets.last_exposure_us)') }}
            and (
                days.next_date is null
                or days.next_date
                > {{ us_to_local_date('greatest(targets.as_of_us, targets.last_exposure_us)') }}
            )

)

select
    described.*,
    {% if is_later %}
        measured.target_id is null
        or (
            measured.input_mark <> described.input_mark
            and not (
                measured.definition_mark = described.definition_mark
                and described.data_first_us > measured.data_first_us
                and described.data_first_us > case
                    when measured.has_history
                        then described.first_us - {{ history_from_us() }} - {{ look_back_us() }}
                    else described.starts_us - {{ look_back_us() }}
                end
            )
        ) as is_due
    {% else %}
        true as is_due
    {% endif %}
from described
{% if is_later %}
    left join {{ measured }} as measured
        on described.target_id = measured.target_id
{% endif %}
