{#
  Addresses that strangers share: more than five families of agents within a week (carriers, offices, tunnels).
  They count as reached, and belong to no cohort whose follow-up ends when such a week is over.
#}
with downloads as (

    select * from {{ ref('int_device_downloads') }}

),

-- Few have so many at all: only these are looked at by week.
candidates as (

    select address_key
    from downloads
    group by address_key
    having count(distinct device_key) > {{ most_families() }}

),

weeks as (

    select
        downloads.address_key,
        {{ int_div('downloads.started_us', week_us()) }} * {{ week_us() }} as week_us
    from downloads
    inner join candidates
        on downloads.address_key = candidates.address_key
    group by downloads.address_key, {{ int_div('downloads.started_us', week_us()) }}
    having count(distinct downloads.device_key) > {{ most_families() }}

)

select
    address_key,
    min(week_us) as shared_us
from weeks
group by address_key
