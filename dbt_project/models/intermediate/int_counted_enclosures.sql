{# Written last: the catalogue under which this build counted. #}
-- depends_on: {{ ref('fct_downloads') }}, {{ ref('fct_episode_daily') }}, {{ ref('fct_show_daily') }}
-- depends_on: {{ ref('fct_exclusions_daily') }}, {{ ref('dim_episodes') }}, {{ ref('dim_shows') }}
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
