with source as (

    select * from {{ source('lake', 'restatements_told') }}

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
        {% for measure in ['published'] + window_rules().split() %}
            former_{{ measure }},
            restated_{{ measure }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from source

)

select * from renamed
