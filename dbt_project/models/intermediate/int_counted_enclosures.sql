{# Written after all marts: the catalogue under which this build counted. #}
-- depends_on: {{ ref('dim_episodes') }}, {{ ref('dim_networks') }}
-- depends_on: {{ ref('dim_podcasts') }}, {{ ref('dim_podcasts_history') }}
-- depends_on: {{ ref('dim_rules') }}, {{ ref('dim_shows') }}
-- depends_on: {{ ref('dim_sources') }}, {{ ref('fct_downloads') }}
-- depends_on: {{ ref('fct_episode_daily') }}, {{ ref('fct_episode_hourly') }}
-- depends_on: {{ ref('fct_episode_listeners') }}, {{ ref('fct_episode_pacing') }}
-- depends_on: {{ ref('fct_exclusions_daily') }}, {{ ref('fct_feed_health') }}
-- depends_on: {{ ref('fct_metadata_changes') }}, {{ ref('fct_reconciliation_daily') }}
-- depends_on: {{ ref('fct_restatements') }}, {{ ref('fct_show_daily') }}
-- depends_on: {{ ref('fct_show_dimensions') }}, {{ ref('fct_show_dimensions_daily') }}
-- depends_on: {{ ref('fct_show_listeners') }}, {{ ref('fct_show_pacing') }}
-- depends_on: {{ ref('fct_show_reconciliation_daily') }}, {{ ref('fct_volume_flags') }}
-- depends_on: {{ ref('rpt_leads') }}
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
