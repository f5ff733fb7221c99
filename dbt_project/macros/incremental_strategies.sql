{# Delete the windows in which counting restarts, then insert what was counted again; one transaction. #}
{% macro get_incremental_restart_windows_sql(arg_dict) %}
    {% set columns = arg_dict['dest_columns'] | map(attribute='quoted') | join(', ') %}

    {% if builds_from_scratch() %} -- what a first build left that died
        delete from {{ arg_dict['target_relation'] }};
    {% else %}
        delete from {{ arg_dict['target_relation'] }} as target
        using {{ ref('int_window_restarts') }} as restarts
        where
            {{ same_key('target', 'restarts') }}
            and target.last_request_us >= restarts.restart_us
            and target.last_request_us >= {{ first_restart_us() }};
    {% endif %}

    insert into {{ arg_dict['target_relation'] }} ({{ columns }})
    select {{ columns }} from {{ arg_dict['temp_relation'] }}
{% endmacro %}

{# Delete the changed days whole, also those that lost their last row, then insert them again. #}
{% macro get_incremental_replace_days_sql(arg_dict) %}
    {% set columns = arg_dict['dest_columns'] | map(attribute='quoted') | join(', ') %}

    delete from {{ arg_dict['target_relation'] }}
    {% if not builds_from_scratch() %}where date in (select day from {{ ref('int_changed_days') }}){% endif %};

    insert into {{ arg_dict['target_relation'] }} ({{ columns }})
    select {{ columns }} from {{ arg_dict['temp_relation'] }}
{% endmacro %}

{# Delete the episodes and the shards that were read again, then insert them as they are now. #}
{% macro get_incremental_replace_episodes_sql(arg_dict) %}
    {% set columns = arg_dict['dest_columns'] | map(attribute='quoted') | join(', ') %}

    delete from {{ arg_dict['target_relation'] }} as target
    using {{ arg_dict['temp_relation'] }} as read_again
    where
        target.shard = read_again.shard
        and target.episode_key is not distinct from read_again.episode_key;

    insert into {{ arg_dict['target_relation'] }} ({{ columns }})
    select {{ columns }} from {{ arg_dict['temp_relation'] }}
{% endmacro %}
