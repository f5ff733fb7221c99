{{ config(severity='warn', meta={'dagster': {'ref': {'name': 'fct_show_reconciliation_daily'}}}) }}

-- R35: a prefix and the host's own log count the same show alike, on every date that is over in both; but for
-- what a prefix cannot know: whether a minute was served, whether a player that asked for bytes 0-1 went on.
select
    date,
    show_id,
    prefix_downloads,
    server_log_downloads,
    difference_share,
    unaccounted_downloads,
    likely_cause
from {{ ref('fct_show_reconciliation_daily') }}
where
    is_complete
    and unaccounted_downloads >= {{ reconciliation_min_downloads() }}
    and unaccounted_downloads
    > {{ reconciliation_tolerance() }} * greatest(prefix_downloads, server_log_downloads)
