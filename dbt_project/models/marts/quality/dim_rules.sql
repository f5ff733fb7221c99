with rules as (

    select * from {{ ref('stg_lake__rules') }}

)

select
    rules_version,
    list,
    list_version,
    origin,
    {{ us_to_timestamp('fetched_us') }} as fetched_at,
    entries
from rules
