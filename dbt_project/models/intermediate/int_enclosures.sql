with in_catalog as (

    select * from {{ ref('int_catalog_enclosures') }}

),

observed as (

    select * from {{ ref('int_requested_enclosures') }}

),

episodes as (

    select
        in_catalog.show_id,
        in_catalog.episode_id,
        in_catalog.episode_key,
        in_catalog.enclosure_key,
        in_catalog.enclosure_url,
        in_catalog.published_us,
        in_catalog.duration_s,
        in_catalog.file_bytes is null and observed.file_bytes is not null as is_size_observed,
        -- A feed's word comes last: inserted advertisements change it at every poll.
        coalesce(in_catalog.file_bytes, observed.file_bytes, in_catalog.declared_bytes) as file_bytes,
        -- A header that fills the file is none.
        case
            when
                in_catalog.id3_bytes
                < coalesce(in_catalog.file_bytes, observed.file_bytes, in_catalog.declared_bytes, 9e18)
                then in_catalog.id3_bytes
        end as id3_bytes
    from in_catalog
    left join observed
        on in_catalog.enclosure_key = observed.enclosure_key

),

-- R15: where an episode's own evidence is missing, its show's stands in.
shows as (

    select
        show_id,
        cast(floor(avg(id3_bytes)) as bigint) as id3_bytes,
        sum(case when file_bytes > 0 and duration_s > 0 then file_bytes - coalesce(id3_bytes, 0) end)
        -- Whole milliseconds: a sum of floats would depend on the order of the rows.
        / sum(case when file_bytes > 0 and duration_s > 0 then cast(duration_s * 1000 as bigint) end)
        * 1000 as bytes_per_s
    from episodes
    group by show_id

),

evidence as (

    select
        episodes.*,
        shows.bytes_per_s as show_bytes_per_s,
        coalesce(episodes.id3_bytes, shows.id3_bytes, 0) as header_bytes,
        -- Its weakest part.
        case
            when episodes.file_bytes is null or episodes.duration_s is null
                then case when shows.bytes_per_s > 0 then 'show' else 'default' end
            when episodes.id3_bytes is null then 'show'
            when episodes.is_size_observed then 'log'
            else 'episode'
        end as threshold_source
    from episodes
    inner join shows
        on episodes.show_id = shows.show_id

),

content as (

    select
        *,
        -- greatest() passes over nulls: an unknown size must stay unknown.
        case when file_bytes is not null then greatest(file_bytes - header_bytes, 0) end as content_bytes,
        least(coalesce(duration_s, 60.0), 60.0) as counted_s
    from evidence

)

select
    enclosure_key,
    enclosure_url,
    episode_key,
    show_id,
    episode_id,
    published_us,
    file_bytes,
    header_bytes,
    threshold_source,
    -- R13: one minute of content. R14: all of a shorter episode. Never more than the file holds.
    cast(
        case
            when content_bytes is not null and duration_s > 0
                then ceil(counted_s * content_bytes / duration_s)
            else
                least(
                    ceil(counted_s * coalesce(show_bytes_per_s, {{ default_threshold_bytes() }} / 60.0)),
                    coalesce(content_bytes, 9e15)
                )
        end as bigint
    ) as threshold_bytes
from content
