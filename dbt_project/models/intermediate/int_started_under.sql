{# Written before anything is counted: under which settings this build does, should it not live to the end. #}
-- depends_on: {{ ref('int_new_files') }}, {{ ref('stg_lake__files') }}
{% do use_one_thread_for_few() %}
select '{{ counted_under() }}' as counted_under
