with files as (

    select * from {{ ref('stg_lake__files') }}
    where status <> 'duplicate'

),

-- A refused file tells no class: it stands with those of its source.
classed as (

    select
        files.*,
        coalesce(files.source_class, max(files.source_class) over (partition by files.source)) as known_class
    from files

)

select
    source,
    known_class as source_class,
    {{ text_list('format') }} as formats,
    coalesce(bool_and(is_comparable or status <> 'taken'), true) as is_comparable,
    count(case when status = 'taken' then 1 end) as files,
    count(case when status = 'held' then 1 end) as held_files,
    count(case when status = 'rejected' then 1 end) as refused_files,
    cast(coalesce(sum(case when status = 'taken' then requests end), 0) as bigint) as requests,
    cast(coalesce(sum(case when status = 'taken' then rejects end), 0) as bigint) as rejects,
    {{ us_to_timestamp("min(case when status = 'taken' then first_us end)") }} as first_event_at,
    {{ us_to_timestamp("max(case when status = 'taken' then last_us end)") }} as last_event_at
from classed
group by source, known_class
