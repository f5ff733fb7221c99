{{ config(materialized='incremental', incremental_strategy='replace_days') }}

{% set changed_days = ref('int_changed_days') %}

with windows as (

    select * from {{ ref('int_download_windows') }}
    where
        {{ published() }}
        {% if is_incremental() %}
            and date in ({{ date_literals('select day from ' ~ changed_days) }})
        {% endif %}

)

select
    date,
    show_id,
    episode_key,
    count(case when source_class = 'prefix' and is_first_two then 1 end) as first_two_downloads,
    count(case when source_class = 'server_log' and not is_counted then 1 end) as below_threshold_windows
from windows
where show_id is not null and ((source_class = 'prefix' and is_first_two) or not is_counted)
group by date, show_id, episode_key
