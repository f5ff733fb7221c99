{#
  The tenured downloads of the devices that due targets ask about: those of a cohort, and the panel from which
  pools are drawn. A download is tenured when its device was first seen 28 days before, and active since, other
  than in this sitting. `downloads_45d`: downloads of the 45 days before it. Of all other devices nothing is
  computed, and without a due target nothing at all.

  `previous_us`: the device's tenured download before it, 0 for the first.

  The panel is a share of all devices, the same for every target: 1, 1/2, 1/4 ... of their keys, which are random.
#}
{% set due = 'from ' ~ ref('int_collaborations') ~ ' where is_due having count(*) > 0' %}
{% set first = values_of('select min(first_us) - ' ~ history_from_us() ~ ' ' ~ due) %}
{% set last = values_of('select max(exposure_ends_us) ' ~ due) %}
{% set from_us = first | first | default(0, true) | int %}
{% set until_us = last | first | default(0, true) | int %}
-- depends_on: {{ ref('int_index_downloads') }}, {{ ref('int_device_keys') }}
with keys as (

    select * from {{ ref('int_device_keys') }}

),

wanted as (

    select distinct device_key from {{ ref('int_index_downloads') }}
    {% if from_us %}
        union
        select device_key from keys
        where
            {{ in_panel('device_key') }}
            and last_us - first_us >= {{ tenure_us() }}
    {% endif %}

),

downloads as (

    select
        downloads.device_key,
        downloads.address_key,
        downloads.started_us,
        downloads.show_key,
        downloads.episode_key,
        keys.first_us,
        keys.shared_us,
        count(*) over (
            partition by downloads.device_key
            order by downloads.started_us
            range between {{ strata_us() }} preceding and 1 preceding
        ) as downloads_45d,
        count(*) over (
            partition by downloads.device_key
            order by downloads.started_us
            range between {{ tenure_us() }} preceding and {{ sitting_us() }} preceding
        ) as active_downloads
    from {{ ref('int_device_downloads') }} as downloads
    inner join wanted
        on downloads.device_key = wanted.device_key
    inner join keys
        on downloads.device_key = keys.device_key
    where
        {% if from_us %}
            downloads.started_us >= {{ from_us }} - {{ strata_us() }}
            and downloads.started_us < {{ until_us }}
        {% else %}
            1 = 0
        {% endif %}

)

select
    device_key,
    address_key,
    started_us,
    show_key,
    episode_key,
    shared_us,
    downloads_45d,
    coalesce(
        lag(started_us) over (partition by device_key order by started_us, episode_key), 0
    ) as previous_us
from downloads
where
    started_us - first_us >= {{ tenure_us() }}
    and active_downloads > 0
order by device_key, started_us
