with episodes as (

    select * from {{ ref('fct_reconciliation_daily') }}

),

counts as (

    select
        date,
        show_id,
        count(*) as episodes,
        count(case when not is_within_tolerance then 1 end) as episodes_out_of_tolerance,
        {% for measure in [
            'prefix_downloads', 'server_log_downloads', 'prefix_requests', 'server_log_requests',
            'first_two_downloads', 'below_threshold_windows',
        ] %}
            cast(sum({{ measure }}) as bigint) as {{ measure }},
        {% endfor %}
        -- Of the show's day, the same on all its rows.
        min(prefix_nonhuman_share) as prefix_nonhuman_share,
        min(server_log_nonhuman_share) as server_log_nonhuman_share,
        bool_or(is_prefix_late) as is_prefix_late,
        bool_or(is_server_log_late) as is_server_log_late,
        bool_and(is_complete) as is_complete
    from episodes
    group by date, show_id

),

{{ reconciled('counts') }}

select
    date,
    show_id,
    prefix_downloads,
    server_log_downloads,
    difference,
    difference_share,
    unaccounted_downloads,
    is_within_tolerance,
    {{ likely_cause() }} as likely_cause,
    is_complete,
    episodes,
    episodes_out_of_tolerance,
    prefix_requests,
    server_log_requests,
    first_two_downloads,
    below_threshold_windows,
    prefix_nonhuman_share,
    server_log_nonhuman_share,
    is_prefix_late,
    is_server_log_late
from judged
