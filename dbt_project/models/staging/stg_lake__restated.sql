{# A table: every model of one build sees the same days, whatever is judged again meanwhile. #}
{{ config(materialized='table') }}

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
