{# Written after all marts: the days that were judged again and that this build has counted anew. #}
-- depends_on: {{ ref('int_counted_enclosures') }}
select
    day,
    restated_us
from {{ ref('stg_lake__restated') }}
