{#
  Which other collaborations of the same show reached a collaboration's listeners, and how many each may have
  converted.
#}
with pairs as (

    select * from {{ ref('int_overlaps') }}
    where target_id > 0

),

others as (

    select * from {{ ref('int_recorded_collaborations') }}

),

shows as (

    select * from {{ ref('int_show_keys') }}

)

select
    pairs.target_id as collaboration_id,
    pairs.other_id as other_collaboration_id,
    cast(pairs.common_keys as bigint) as common_keys,
    pairs.converted_by_other,
    others.partner_show_id as other_partner_show_id,
    shows.show_title as other_partner_show_title,
    {{ us_to_timestamp('others.starts_us') }} as other_starts_at
from pairs
inner join others
    on pairs.other_id = others.collaboration_id
left join shows
    on others.partner_show_id = shows.show_id
