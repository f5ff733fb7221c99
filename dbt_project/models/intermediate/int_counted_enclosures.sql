{# Written last: the catalogue under which this build counted. #}
-- depends_on: {{ ref('fct_downloads') }}, {{ ref('fct_episode_daily') }}, {{ ref('fct_show_daily') }}
-- depends_on: {{ ref('fct_exclusions_daily') }}, {{ ref('dim_episodes') }}, {{ ref('dim_shows') }}
select * from {{ ref('int_enclosures') }}
