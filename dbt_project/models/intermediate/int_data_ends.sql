{{ config(materialized='view') }}

select
    source_class,
    min({{ us_to_local_date('first_us') }}) as first_date,
    max({{ us_to_local_date('last_us') }}) as last_date
from {{ ref('stg_lake__files') }}
where status = 'taken' and last_us is not null
group by source_class
