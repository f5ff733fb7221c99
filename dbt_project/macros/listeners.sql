{# The UTC days of the key epochs (30 days each, counted from 1970) in `relation`, as date literals. #}
{% macro listener_days(relation) %}
    {{ return(date_literals(
        "select cast('1970-01-01' as date) + cast(epochs.key_epoch * 30 + days.day as integer)"
        ~ " from (select distinct key_epoch from " ~ relation ~ ") as epochs"
        ~ " cross join (select " ~ explode('range(30)') ~ " as day) as days"
    )) }}
{% endmacro %}

{# The keys of the next epoch that carry those of `chain` as their older ones: counted under the same key. #}
{% macro next_in_chain(chain) %}
    select
        known_keys.key_epoch,
        known_keys.listener_key,
        known_keys.listener_key_prev,
        {{ chain }}.canonical_listener_key,
        known_keys.is_new
    from {{ chain }}
    inner join known_keys
        on
            {{ chain }}.key_epoch + 1 = known_keys.key_epoch
            and {{ chain }}.listener_key = known_keys.listener_key_prev
{% endmacro %}
