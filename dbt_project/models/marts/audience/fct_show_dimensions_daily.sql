{{ config(materialized='incremental', incremental_strategy='replace_days') }}

{% set changed_days = ref('int_changed_days') %}
{% set dimensions = [
    'app', 'agent_type', 'device', 'device_category', 'os', 'country', 'network_kind', 'referrer_app',
] %}

with downloads as (

    select * from {{ ref('fct_downloads') }}
    {% if is_incremental() %}
        where date in ({{ date_literals('select day from ' ~ changed_days) }})
    {% endif %}

),

-- Nearly every listener downloads once from a show and date and is then one listener of each value; only the
-- others must be told apart, and counting distinct ones is what costs.
repeated as (

    select
        date,
        source_class,
        show_id,
        listener_key
    from downloads
    where downloads = 1
    group by date, source_class, show_id, listener_key
    having count(*) > 1

),

told_apart as (

    select
        downloads.*,
        case when repeated.listener_key is null then downloads.downloads else 0 end as once,
        case when downloads.downloads = 1 then repeated.listener_key end as repeated_listener
    from downloads
    left join repeated
        on
            downloads.date = repeated.date
            and downloads.source_class = repeated.source_class
            and downloads.show_id is not distinct from repeated.show_id
            and downloads.listener_key = repeated.listener_key

),

by_value as (

    {% for dimension in dimensions %}
        select
            date,
            source_class,
            show_id,
            '{{ dimension }}' as dimension,
            coalesce({{ dimension }}, 'unknown') as value,
            sum(downloads) as downloads,
            {% for rule in window_rules().split() %}
                sum(downloads_{{ rule }}) as downloads_{{ rule }},
            {% endfor %}
            sum(once) as listeners
        from told_apart
        group by date, source_class, show_id, coalesce({{ dimension }}, 'unknown')
        union all
        select
            date,
            source_class,
            show_id,
            '{{ dimension }}' as dimension,
            coalesce({{ dimension }}, 'unknown') as value,
            0 as downloads,
            {% for rule in window_rules().split() %}
                0 as downloads_{{ rule }},
            {% endfor %}
            count(distinct repeated_listener) as listeners
        from told_apart
        where repeated_listener is not null
        group by date, source_class, show_id, coalesce({{ dimension }}, 'unknown')
        {% if not loop.last %}union all{% endif %}
    {% endfor %}

)

select
    date,
    source_class,
    show_id,
    dimension,
    value,
    {% for rule in window_rules().split() %}
        cast(sum(downloads_{{ rule }}) as bigint) as downloads_{{ rule }},
    {% endfor %}
    cast(sum(downloads) as bigint) as downloads,
    cast(sum(listeners) as bigint) as listeners
from by_value
group by
    date,
    source_class,
    show_id,
    dimension,
    value
