with source as (

    select * from {{ source('lake', 'restatements') }}

),

renamed as (

    select
        restated_us,
        first_day,
        last_day,
        rules_version,
        date,
        source_class,
        show_id,
        reason,
        published,
        calendar,
        first_touch,
        last_touch
    from source

)

select * from renamed
