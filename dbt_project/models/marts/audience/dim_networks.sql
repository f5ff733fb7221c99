with networks as (

    select * from {{ ref('stg_lake__networks') }}

)

select
    asn,
    network,
    network_kind
from networks
