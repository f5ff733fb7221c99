{#
  A version begins where a change of the podcast itself was detected and ends where the next one begins. Podcasts
  with new versions are laid out again from those known and the new ones, whatever the order they come in.
#}
{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='podcast_key',
) }}
-- depends_on: {{ ref('int_new_change_files') }}, {{ ref('stg_lake__metadata_changes') }}
{% set content = {
    'podcast_guid': 'varchar',
    'title': 'varchar',
    'subtitle': 'varchar',
    'description': 'varchar',
    'author': 'varchar',
    'link': 'varchar',
    'image_url': 'varchar',
    'language': 'varchar',
    'categories': 'varchar',
    'copyright': 'varchar',
    'generator': 'varchar',
    'is_explicit': 'boolean',
    'show_type': 'varchar',
    'is_complete': 'boolean',
    'medium': 'varchar',
    'is_locked': 'boolean',
} %}

with records as (

    select
        podcast_key,
        sequence,
        detected_us,
        change,
        {{ parsed_json('record', content) }} as record
    from ({{ new_changes() }}) as new_changes
    where record is not null

),

new_versions as (

    select
        records.podcast_key,
        records.sequence,
        {{ us_to_timestamp('records.detected_us') }} as valid_from,
        records.change,
        {% for name in content %}
            records.record.{{ name }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from records

),

versions as (

    select * from new_versions
    {% if is_incremental() %}
        union all
        select
            known.podcast_key,
            known.sequence,
            known.valid_from,
            known.change,
            {% for name in content %}
                known.{{ name }}{% if not loop.last %},{% endif %}
            {% endfor %}
        from {{ this }} as known
        where known.podcast_key in (select new_versions.podcast_key from new_versions)
    {% endif %}

),

-- Of several changes found by one poll the last one tells how the record was after it.
ranked as (

    select
        *,
        row_number() over (partition by podcast_key, valid_from order by sequence desc) as version_rank
    from versions

),

placed as (

    select
        *,
        lead(valid_from) over (partition by podcast_key order by valid_from) as valid_to
    from ranked
    where version_rank = 1

)

select
    podcast_key,
    valid_from,
    valid_to,
    valid_to is null as is_current,
    sequence,
    change,
    {% for name in content %}
        {{ name }}{% if not loop.last %},{% endif %}
    {% endfor %}
from placed
