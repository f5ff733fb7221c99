{# Written last: what this build counted. A build that died before this is simply done again. #}
-- depends_on: {{ ref('fct_downloads') }}, {{ ref('fct_episode_daily') }}, {{ ref('fct_show_daily') }}
-- depends_on: {{ ref('fct_exclusions_daily') }}, {{ ref('dim_episodes') }}, {{ ref('dim_shows') }}
with files as (

    select distinct
        source,
        file_id
    from {{ ref('stg_lake__files') }}
    where status = 'taken'

)

select
    source,
    file_id,
    '{{ counted_under() }}' as counted_under
from files
