{# The families of agents that were seen: one that makes a device of an address (ATTRIBUTION §2.1). #}
with agents as (

    select distinct
        app,
        os
    from {{ ref('int_download_windows') }}

)

select
    app,
    os,
    {{ family_key('app', 'os') }} as family_key
from agents
