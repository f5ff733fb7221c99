with daily as (

    select * from {{ ref('fct_episode_daily') }}
    where show_id is not null

),

show_daily as (

    select * from {{ ref('fct_show_daily') }}
    where requests > 0

),

exclusions as (

    select * from {{ ref('fct_exclusions_daily') }}

),

evidence as (

    select * from {{ ref('int_reconciliation_evidence') }}

),

data_ends as (

    select * from {{ ref('int_data_ends') }}

),

-- A show is compared from the first to the last date on which both classes have seen it.
class_spans as (

    select
        show_id,
        source_class,
        min(date) as first_date,
        max(date) as last_date
    from show_daily
    where show_id is not null
    group by show_id, source_class

),

show_spans as (

    select
        show_id,
        max(first_date) as first_date,
        min(last_date) as last_date
    from class_spans
    group by show_id
    having count(*) = 2

),

pairs as (

    select
        daily.date,
        daily.show_id,
        daily.episode_key,
        {% for class in ['prefix', 'server_log'] %}
            {% for measure in ['downloads', 'requests'] %}
                sum(case when daily.source_class = '{{ class }}' then daily.{{ measure }} else 0 end)
                    as {{ class }}_{{ measure }}
                {%- if not loop.last %},{% endif %}
            {% endfor %}
            {%- if not loop.last %},{% endif %}
        {% endfor %}
    from daily
    inner join show_spans
        on
            daily.show_id = show_spans.show_id
            and daily.date >= show_spans.first_date
            and daily.date <= show_spans.last_date
    group by daily.date, daily.show_id, daily.episode_key

),

-- What share of a show's requests its class left out as not human.
nonhuman as (

    select
        date,
        show_id,
        source_class,
        sum(requests) as requests
    from exclusions
    where reason in {{ nonhuman_reasons() }} and show_id is not null
    group by date, show_id, source_class

),

shares as (

    select
        show_daily.date,
        show_daily.show_id,
        {% for class in ['prefix', 'server_log'] %}
            coalesce(
                max(
                    case
                        when show_daily.source_class = '{{ class }}'
                            then nonhuman.requests / (nonhuman.requests + show_daily.requests)
                    end
                ), 0
            ) as {{ class }}_nonhuman_share{% if not loop.last %},{% endif %}
        {% endfor %}
    from show_daily
    left join nonhuman
        on
            show_daily.date = nonhuman.date
            and show_daily.show_id = nonhuman.show_id
            and show_daily.source_class = nonhuman.source_class
    group by show_daily.date, show_daily.show_id

),

-- Files of a class are late on a date that is not over in it, or that has less than half the requests of the
-- median of the 28 dates before (of at least 7 that are known).
class_days as (

    select
        source_class,
        date,
        sum(requests) as requests
    from show_daily
    group by source_class, date

),

pair_dates as (

    select distinct date
    from pairs

),

dates as (

    select
        data_ends.source_class,
        data_ends.last_date,
        pair_dates.date
    from data_ends
    cross join pair_dates

),

usual as (

    select
        dates.source_class,
        dates.date,
        {{ quartile(0.5, 'class_days.requests') }} as requests
    from dates
    inner join class_days
        on
            dates.source_class = class_days.source_class
            and dates.date <= class_days.date + 28
            and dates.date > class_days.date
    group by dates.source_class, dates.date
    having count(*) >= 7

),

class_dates as (

    select
        dates.source_class,
        dates.date,
        dates.date >= dates.last_date as is_open,
        coalesce(2 * coalesce(class_days.requests, 0) < usual.requests, false) as is_low
    from dates
    left join class_days
        on dates.source_class = class_days.source_class and dates.date = class_days.date
    left join usual
        on dates.source_class = usual.source_class and dates.date = usual.date

),

lateness as (

    select
        date,
        {% for class in ['prefix', 'server_log'] %}
            max(case when source_class = '{{ class }}' and (is_open or is_low) then 1 else 0 end) = 1
                as is_{{ class }}_late,
        {% endfor %}
        max(case when is_open then 1 else 0 end) = 0 as is_complete
    from class_dates
    group by date

),

counts as (

    select
        pairs.*,
        lateness.is_prefix_late,
        lateness.is_server_log_late,
        lateness.is_complete,
        coalesce(evidence.first_two_downloads, 0) as first_two_downloads,
        coalesce(evidence.below_threshold_windows, 0) as below_threshold_windows,
        coalesce(shares.prefix_nonhuman_share, 0) as prefix_nonhuman_share,
        coalesce(shares.server_log_nonhuman_share, 0) as server_log_nonhuman_share
    from pairs
    inner join lateness
        on pairs.date = lateness.date
    left join shares
        on pairs.date = shares.date and pairs.show_id = shares.show_id
    left join evidence
        on pairs.date = evidence.date and pairs.episode_key = evidence.episode_key

),

{{ reconciled('counts') }}

select
    date,
    show_id,
    episode_key,
    cast(prefix_downloads as bigint) as prefix_downloads,
    cast(server_log_downloads as bigint) as server_log_downloads,
    cast(difference as bigint) as difference,
    difference_share,
    cast(unaccounted_downloads as bigint) as unaccounted_downloads,
    is_within_tolerance,
    {{ likely_cause() }} as likely_cause,
    is_complete,
    cast(prefix_requests as bigint) as prefix_requests,
    cast(server_log_requests as bigint) as server_log_requests,
    first_two_downloads,
    below_threshold_windows,
    cast(prefix_nonhuman_share as double) as prefix_nonhuman_share,
    cast(server_log_nonhuman_share as double) as server_log_nonhuman_share,
    is_prefix_late,
    is_server_log_late
from judged
