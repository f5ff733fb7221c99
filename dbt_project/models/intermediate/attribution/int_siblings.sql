{#
  Collaborations of the same show A that may have brought the same listeners: their starts lie no further apart
  than exposure and follow-up last. Each is its own sibling; a placebo triple has no other. `other_mark`: all that
  a figure depends on of the other, whom it was held out of included: those it did not reach.
#}
with recorded as (

    select * from {{ ref('int_recorded_collaborations') }}
    where
        show_key is not null
        and partner_show_key is not null
        and show_key <> partner_show_key
        and exposure_ends_us > starts_us

),

triples as (

    select * from {{ ref('int_placebo_triples') }}

),

held_out as (

    select
        target_id,
        bit_xor(device_key) as held_out_mark
    from {{ ref('int_held_out_devices') }}
    group by target_id

)

select
    these.collaboration_id as target_id,
    peers.collaboration_id as other_id,
    peers.starts_us as other_starts_us,
    peers.exposure_ends_us as other_exposure_ends_us,
    {{ text_key("concat_ws(
        ' ', cast(peers.collaboration_id as varchar), cast(peers.starts_us as varchar),
        cast(peers.exposure_ends_us as varchar), cast(peers.episode_key as varchar),
        cast(peers.partner_show_key as varchar), cast(peers.show_key as varchar),
        cast(held_out.held_out_mark as varchar)
    )") }} as other_mark
from recorded as these
inner join recorded as peers
    on
        these.show_key = peers.show_key
        and abs(these.starts_us - peers.starts_us) <= {{ exposure_us() }} + {{ follow_up_us() }}
left join held_out
    on peers.collaboration_id = held_out.target_id
union all
select
    target_id,
    target_id as other_id,
    starts_us as other_starts_us,
    exposure_ends_us as other_exposure_ends_us,
    target_id as other_mark
from triples
