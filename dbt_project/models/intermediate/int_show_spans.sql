{#
  By source, not by class: when a show's logs begin to arrive from a second network, its older episodes must not
  look as if nobody had heard them.
#}
with files as (

    select
        source_class,
        source,
        min(first_us) as first_event_us,
        max(last_us) as last_event_us
    from {{ ref('stg_lake__files') }}
    where status = 'taken' and last_us is not null
    group by source_class, source

),

show_sources as (

    select distinct
        source_class,
        source,
        show_id
    from {{ ref('int_download_windows') }}
    where is_counted and show_id is not null

)

select
    show_sources.source_class,
    show_sources.show_id,
    min(files.first_event_us) as first_event_us,
    max(files.last_event_us) as last_event_us
from show_sources
inner join files
    on show_sources.source_class = files.source_class and show_sources.source = files.source
group by show_sources.source_class, show_sources.show_id
