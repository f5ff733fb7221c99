with source as (

    select * from {{ source('lake', 'rules') }}

),

renamed as (

    select
        -- ids
        rules_version,
        list,
        list_version,
        origin,

        -- numerics
        entries,

        -- times
        fetched_us

    from source

)

select * from renamed
