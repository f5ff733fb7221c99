{# Written last of all: what this build counted. A build that died before this is simply done again. #}
-- depends_on: {{ ref('int_counted_enclosures') }}, {{ ref('int_counted_listeners') }}
-- depends_on: {{ ref('int_counted_restatements') }}
{% do merge_row_groups() %}
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
