with source as (

    select * from {{ source('lake', 'networks') }}

),

renamed as (

    select
        asn,
        network,
        network_kind
    from source

)

select * from renamed
