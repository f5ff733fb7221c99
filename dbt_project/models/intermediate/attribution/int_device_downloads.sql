{#
  Downloads by device: one row a device, episode and date, however many agent versions and source classes saw it.
  Dates whose downloads differ from what they were (int_device_days) are read again.
#}
{{ config(materialized='incremental', incremental_strategy='replace_marked_days') }}

{% set days %}
    select days.date
    from {{ ref('int_device_days') }} as days
    {% if is_incremental() %}
        left join (select distinct date, day_mark from {{ this }}) as known
            on days.date = known.date and days.day_mark = known.day_mark
        where known.date is null
    {% endif %}
{% endset %}

with downloads as (

    {{ keyed_downloads(date_literals(days) if is_incremental() else none) }}

),

marks as (

    select * from {{ ref('int_device_days') }}

),

device_days as (

    select
        device_key,
        episode_key,
        date,
        min(address_key) as address_key,
        min(show_key) as show_key,
        min(started_us) as started_us
    from downloads
    group by device_key, episode_key, date

)

select
    device_days.device_key,
    device_days.address_key,
    device_days.show_key,
    device_days.episode_key,
    device_days.started_us,
    device_days.date,
    marks.day_mark
from device_days
inner join marks
    on device_days.date = marks.date
order by device_days.date, device_days.episode_key
