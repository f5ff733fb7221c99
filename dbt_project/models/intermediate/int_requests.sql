{{ config(materialized='view') }}
-- depends_on: {{ ref('int_enclosures') }}, {{ ref('int_listener_links') }}

{{ described_requests(ref('stg_lake__requests')) }}
