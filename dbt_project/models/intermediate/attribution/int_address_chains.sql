{#
  Addresses that carry another key than their first. Each 30 days another secret makes the keys; a request has its
  address's key under the secret before, too. Where that one was met in the epoch before, both are one address,
  under the oldest key of the chain. As with listeners (int_listener_updates), but for the address alone: a new
  version of an app makes no new device.
#}
with recursive met as (

    select
        key_epoch,
        address_key,
        min(address_key_prev) as address_key_prev
    from {{ ref('int_download_windows') }}
    -- A secret that never changes (earshot count) needs no chain.
    where address_key_prev <> address_key
    group by key_epoch, address_key

),

linked as (

    select
        met.key_epoch,
        met.address_key,
        met.address_key_prev,
        earlier.address_key is not null as has_earlier
    from met
    left join met as earlier
        on
            met.key_epoch = earlier.key_epoch + 1
            and met.address_key_prev = earlier.address_key

),

chains as (

    select
        key_epoch,
        address_key,
        address_key as canonical_address_key
    from linked
    where not has_earlier
    union all
    select
        linked.key_epoch,
        linked.address_key,
        chains.canonical_address_key
    from chains
    inner join linked
        on
            chains.key_epoch + 1 = linked.key_epoch
            and chains.address_key = linked.address_key_prev

)

select
    key_epoch,
    address_key,
    canonical_address_key
from chains
where address_key <> canonical_address_key
