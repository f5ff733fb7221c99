{# A table: every model of one build sees the same days, whatever is judged again meanwhile. #}
{{ config(materialized='table') }}
-- After it, so that the days of the finished ones are among them.
-- depends_on: {{ ref('stg_lake__finished_restatements') }}

with source as (

    select * from {{ source('lake', 'restated') }}

),

renamed as (

    select
        day,
        rules_version,
        restated_us
    from source

)

select * from renamed
