{{ config(materialized='ephemeral') }}

with source as (

    select * from {{ source('lake', 'collaborations') }}

)

select * from source
