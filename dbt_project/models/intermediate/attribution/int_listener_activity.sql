{#
  The tenured downloads of the devices that due targets ask about: those of a cohort, and the panel from which
  pools are drawn. A download is tenured when its device was first seen 28 days before, and active since, other
  than in this sitting. `downloads_45d`: downloads of the 45 days before it. Of all other devices nothing is
  computed, and without a due target nothing at all.

  The panel is a share of all devices, the same for every target: 1, 1/2, 1/4 ... of their keys, which are random.
#}
{% set due %}
    select
        min(collaborations.first_us) - {{ history_from_us() }} as from_us,
        max(collaborations.exposure_ends_us) as until_us
    from {{ ref('int_collaborations') }} as collaborations
    where collaborations.is_due
{% endset %}
{% set span = run_query(due).rows[0] if execute else [none, none] %}
{% set is_any_due = span[0] is not none %}
-- depends_on: {{ ref('int_index_downloads') }}, {{ ref('int_device_keys') }}
with keys as (

    select * from {{ ref('int_device_keys') }}

),

wanted as (

    select distinct device_key from {{ ref('int_index_downloads') }}
    {% if is_any_due %}
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
        {% if is_any_due %}
            downloads.started_us >= {{ span[0] }} - {{ strata_us() }}
            and downloads.started_us < {{ span[1] }}
        {% else %}
            1 = 0
        {% endif %}

)

select
    device_key,
    started_us,
    show_key,
    episode_key,
    shared_us,
    downloads_45d
from downloads
where
    started_us - first_us >= {{ tenure_us() }}
    and active_downloads > 0
order by device_key, started_us
