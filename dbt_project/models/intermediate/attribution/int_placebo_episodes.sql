{#
  The earlier episodes of B that tell how readily its audience takes up A by itself (ATTRIBUTION §2.6): aired so
  long before the first exposure that their follow-up has ended, and none of them a collaboration of A.
#}
with targets as (

    select
        siblings.target_id,
        min(siblings.other_starts_us) as first_us
    from {{ ref('int_siblings') }} as siblings
    group by siblings.target_id

),

pairs as (

    select
        collaboration_id as target_id,
        show_key,
        partner_show_id
    from {{ ref('int_recorded_collaborations') }}
    union all
    select
        target_id,
        show_key,
        partner_show_id
    from {{ ref('int_placebo_triples') }}

),

aired as (

    select
        show_id,
        episode_key,
        min(published_us) as published_us
    from {{ ref('int_catalog_enclosures') }}
    group by show_id, episode_key

),

promoted as (

    select distinct
        show_key,
        episode_key
    from {{ ref('int_recorded_collaborations') }}
    where episode_key is not null

),

-- Of a collaboration without an episode: those that were heard while it ran.
ranges as (

    select
        show_key,
        partner_show_id,
        starts_us,
        exposure_ends_us
    from {{ ref('int_recorded_collaborations') }}
    where episode_key is null and episode_id is null and exposure_ends_us > starts_us

)

select
    targets.target_id,
    aired.episode_key,
    aired.published_us as aired_us
from targets
inner join pairs
    on targets.target_id = pairs.target_id
inner join aired
    on
        pairs.partner_show_id = aired.show_id
        and aired.published_us >= targets.first_us - {{ history_from_us() }}
        and aired.published_us < targets.first_us - {{ placebos_until_us() }}
left join promoted
    on
        pairs.show_key = promoted.show_key
        and aired.episode_key = promoted.episode_key
where
    promoted.episode_key is null
    and not exists (
        select 1
        from ranges
        where
            pairs.show_key = ranges.show_key
            and aired.show_id = ranges.partner_show_id
            and aired.published_us < ranges.exposure_ends_us
            and aired.published_us + {{ exposure_us() }} > ranges.starts_us
    )
