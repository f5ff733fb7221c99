{#
  Appended file by file, after the history that rests on the same files; a batch repeated replaces itself. Of
  the owner's name and e-mail address only that they changed; other values lose the names in e-mail addresses.
#}
{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['podcast_key', 'sequence'],
) }}
-- depends_on: {{ ref('dim_podcasts_history') }}, {{ ref('stg_lake__metadata_changes') }}

with changes as (

    select
        podcast_key,
        sequence,
        detected_us,
        change,
        episode_key,
        guid,
        is_minor,
        generation,
        {{ parsed_json('fields', {'field': 'varchar', 'old': 'varchar', 'new': 'varchar'}, is_list=true) }}
            as field_changes
    from ({{ new_changes() }}) as new_changes

),

changed_fields as (

    select
        podcast_key,
        sequence,
        {{ explode('field_changes') }} as field_change
    from changes

),

flat as (

    select
        changed_fields.podcast_key,
        changed_fields.sequence,
        changed_fields.field_change.field,
        changed_fields.field_change.old as old_value,
        changed_fields.field_change.new as new_value,
        changed_fields.field_change.field not in ('owner_name', 'owner_email', 'locked_owner') as is_told
    from changed_fields

)

select
    changes.podcast_key,
    changes.sequence,
    {{ us_to_timestamp('changes.detected_us') }} as detected_at,
    changes.change,
    changes.episode_key,
    changes.guid as episode_id,
    changes.is_minor,
    flat.field,
    case when flat.is_told then {{ without_emails('flat.old_value') }} end as old_value,
    case when flat.is_told then {{ without_emails('flat.new_value') }} end as new_value,
    changes.generation
from changes
-- A change without fields is a row too: the podcast was added, or is gone.
left join flat
    on changes.podcast_key = flat.podcast_key and changes.sequence = flat.sequence
