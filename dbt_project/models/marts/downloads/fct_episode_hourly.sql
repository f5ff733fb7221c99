{{ config(materialized='incremental', incremental_strategy='replace_days') }}

{% set changed_days = ref('int_changed_days') %}

with downloads as (

    select
        *,
        {{ period_start('first_request_at', 'hour') }} as hour
    from {{ ref('fct_downloads') }}
    {% if is_incremental() %}
        where date in ({{ date_literals('select day from ' ~ changed_days) }})
    {% endif %}

)

select
    date,
    hour,
    source_class,
    show_id,
    episode_key,
    cast(sum(downloads) as bigint) as downloads,
    {% for rule in window_rules().split() %}
        cast(sum(downloads_{{ rule }}) as bigint) as downloads_{{ rule }}{% if not loop.last %},{% endif %}
    {% endfor %}
from downloads
group by
    date,
    hour,
    source_class,
    show_id,
    episode_key
