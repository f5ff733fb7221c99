{{ config(materialized='incremental', incremental_strategy='replace_days') }}

{% set days = date_literals('select day from ' ~ ref('int_changed_days')) %}

with windows as (

    select * from {{ ref('int_download_windows') }}
    {% if is_incremental() %}
        where date in ({{ days }})
    {% endif %}

)

select
    date,
    source_class,
    show_id,
    {{ download_measures() }}
from windows
group by
    date,
    source_class,
    show_id
