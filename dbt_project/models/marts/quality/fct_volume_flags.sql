-- R12: for review only. A flag acts through the exclusion list alone.
with scores as (

    select * from {{ ref('int_volume_scores') }}

),

listed as (

    select * from {{ ref('stg_lake__address_lists') }}

),

excluded as (

    select address_key
    from listed
    where list = 'excluded_addresses'

),

-- Dormitories and offices. What nobody has validated for 90 days is flagged again.
included as (

    select
        address_key,
        expires_on
    from listed
    where list = 'included_addresses'

)

select
    scores.date,
    scores.source_class,
    scores.kind,
    scores.address_key,
    scores.agent,
    scores.downloads,
    scores.episodes,
    scores.addresses,
    scores.agents,
    scores.share_of_day,
    round(scores.score, 2) as score,
    excluded.address_key is not null as is_excluded
from scores
left join excluded
    on scores.address_key = excluded.address_key
left join included
    on
        scores.address_key = included.address_key
        and scores.date <= coalesce(included.expires_on, scores.date)
where
    scores.score > {{ flag_mads() }}
    and scores.downloads >= {{ flag_min_downloads() }}
    and included.address_key is null
