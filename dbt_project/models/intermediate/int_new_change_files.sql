{#
  The files of changes that fct_metadata_changes does not hold yet. That mart is written after
  dim_podcasts_history, which reads the same files: a build that dies between the two is simply done again.
#}
{% set known = remembered_mart('fct_metadata_changes') %}

with files as (

    select
        file,
        cast(regexp_extract(file, '.*day=([0-9-]+)/', 1) as date) as day,
        cast(regexp_extract(file, '.*/([0-9]+)-', 1) as bigint) as shard,
        cast(regexp_extract(file, '.*/[0-9]+-([0-9]+)[.]', 1) as bigint) as generation
    from {{ files_like('changes/day=*/[0-9]*.parquet') }}

),

held as (

    {% if known is not none and not flags.FULL_REFRESH %}
        select distinct
            generation,
            cast(detected_at as date) as day,
            podcast_key & 255 as shard
        from {{ known }}
    {% else %}
        select
            generation,
            day,
            shard
        from files
        where 1 = 0
    {% endif %}

)

select
    files.file,
    files.day,
    files.shard,
    files.generation
from files
left join held
    on
        files.day = held.day
        and files.shard = held.shard
        and files.generation = held.generation
where held.day is null
