{# Written before anything is counted: under which settings this build does, should it not live to the end. #}
-- depends_on: {{ ref('int_new_files') }}
select '{{ counted_under() }}' as counted_under
