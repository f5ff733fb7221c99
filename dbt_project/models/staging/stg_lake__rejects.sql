with source as (

    select * from {{ source('lake', 'rejects') }}

),

renamed as (

    select
        source,
        file_id,
        file_name,
        line_number,
        reason,
        text
    from source

)

select * from renamed
