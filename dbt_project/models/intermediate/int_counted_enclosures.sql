{# Written after all marts: the catalogue under which this build counted. #}
-- depends_on: {{ ref('dim_episodes') }}, {{ ref('dim_networks') }}
-- depends_on: {{ ref('dim_podcasts') }}, {{ ref('dim_podcasts_history') }}
-- depends_on: {{ ref('dim_rules') }}, {{ ref('dim_shows') }}
-- depends_on: {{ ref('dim_sources') }}, {{ ref('fct_attribution_gross') }}
-- depends_on: {{ ref('fct_collaboration_cohorts') }}, {{ ref('fct_collaboration_daily') }}
-- depends_on: {{ ref('fct_collaboration_lift') }}, {{ ref('fct_collaboration_overlaps') }}
-- depends_on: {{ ref('fct_downloads') }}, {{ ref('fct_episode_daily') }}
-- depends_on: {{ ref('fct_episode_hourly') }}, {{ ref('fct_episode_listeners') }}
-- depends_on: {{ ref('fct_episode_pacing') }}, {{ ref('fct_exclusions_daily') }}
-- depends_on: {{ ref('fct_feed_health') }}, {{ ref('fct_metadata_changes') }}
-- depends_on: {{ ref('fct_new_listener_sources') }}, {{ ref('fct_partner_lift') }}
-- depends_on: {{ ref('fct_reconciliation_daily') }}, {{ ref('fct_restatements') }}
-- depends_on: {{ ref('fct_show_daily') }}, {{ ref('fct_show_dimensions') }}
-- depends_on: {{ ref('fct_show_dimensions_daily') }}, {{ ref('fct_show_lift_by_type') }}
-- depends_on: {{ ref('fct_show_lift_monthly') }}, {{ ref('fct_show_listeners') }}
-- depends_on: {{ ref('fct_show_pacing') }}, {{ ref('fct_show_reconciliation_daily') }}
-- depends_on: {{ ref('fct_volume_flags') }}, {{ ref('rpt_leads') }}
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
    threshold_bytes
from {{ ref('int_enclosures') }}
where enclosure_key is not null
