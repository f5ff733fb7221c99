{{ config(severity='warn', meta={'dagster': {'ref': {'name': 'fct_show_reconciliation_daily'}}}) }}

-- R35: a prefix and the host's own log count the same show alike, on every date that is over in both.
select
    date,
    show_id,
    prefix_downloads,
    server_log_downloads,
    difference_share,
    likely_cause
from {{ ref('fct_show_reconciliation_daily') }}
where is_complete and not is_within_tolerance and likely_cause <> 'too_few'
