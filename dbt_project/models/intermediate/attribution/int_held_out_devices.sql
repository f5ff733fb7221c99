{#
  Devices that a dynamic insertion server held a collaboration out of: they downloaded the episode without it. One
  that was served it even once has heard it, so it is exposed: to count it as held out would put the effect on the
  wrong side. A device that no log names is taken to be served, as all are where nothing is logged.
#}
with served as (

    select
        servings.collaboration_id,
        servings.is_held_out,
        {{ xor_bits(
            'coalesce(chains.canonical_address_key, servings.address_key)',
            family_key('servings.app', 'servings.os')
        ) }} as device_key
    from {{ ref('stg_lake__insertions') }} as servings
    left join {{ ref('int_address_chains') }} as chains
        on
            servings.key_epoch = chains.key_epoch
            and servings.address_key = chains.address_key

)

select
    collaboration_id as target_id,
    device_key
from served
where collaboration_id is not null and device_key is not null
group by collaboration_id, device_key
having min(case when is_held_out then 1 else 0 end) = 1
