with source as (

    select * from {{ source('lake', 'address_lists') }}

),

renamed as (

    select
        -- ids
        list,
        address_key,

        -- what its author wrote
        reason,

        -- times
        validated_on,
        expires_on

    from source

)

select * from renamed
