{# Devices as far as a log can tell: an address and a family of agents, when it was first and last seen. #}
with downloads as (

    select
        device_key,
        min(address_key) as address_key,
        min(started_us) as first_us,
        max(started_us) as last_us
    from {{ ref('int_device_downloads') }}
    group by device_key

),

shared as (

    select * from {{ ref('int_shared_addresses') }}

)

select
    downloads.device_key,
    downloads.address_key,
    {{ xor_bits('downloads.device_key', 'downloads.address_key') }} as family_key,
    downloads.first_us,
    downloads.last_us,
    shared.shared_us,
    shared.shared_us is not null as is_shared
from downloads
left join shared
    on downloads.address_key = shared.address_key
