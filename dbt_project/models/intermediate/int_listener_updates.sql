{#
  Listeners met for the first time, under which key they are counted, and counted ones that therefore move.

  Each 30 days another secret makes the listener keys; a request carries its key under the secret before, too.
  Where that older key was met in the epoch before, both are one listener, counted under the oldest key of the
  chain: the canonical one. So windows and listeners survive the change, and nothing is compared across it but
  neighbours (DESIGN, Privacy).
#}
-- depends_on: {{ ref('int_new_files') }}
{% set counted = remembered('int_counted_listeners') %}
{% set from_scratch = counted is none or flags.FULL_REFRESH %}

with recursive requests as (

    select
        requests.key_epoch,
        requests.listener_key,
        requests.listener_key_prev
    from {{ ref('stg_lake__requests') }} as requests
    {% if not from_scratch %}
        inner join {{ ref('int_new_files') }} as new_files
            on
                requests.source = new_files.source
                and requests.file_id = new_files.file_id
                and requests.day = new_files.day
        where
            requests.day in ({{ date_literals('select distinct day from ' ~ ref('int_new_files')) }})
            and {{ may_be_new('requests.file_id') }}
    {% endif %}

),

counted as (

    {% if from_scratch %}
        select
            key_epoch,
            listener_key,
            listener_key_prev,
            listener_key as canonical_listener_key
        from requests
        where 1 = 0
    {% else %}
        select
            key_epoch,
            listener_key,
            listener_key_prev,
            canonical_listener_key
        from {{ counted }}
    {% endif %}

),

met as (

    select
        key_epoch,
        listener_key,
        min(listener_key_prev) as listener_key_prev
    from requests
    -- A secret that never changes (earshot count) needs no chain.
    where listener_key_prev <> listener_key
    group by key_epoch, listener_key

),

new_keys as (

    select met.*
    from met
    left join counted
        on met.key_epoch = counted.key_epoch and met.listener_key = counted.listener_key
    where counted.listener_key is null

),

known_keys as (

    select
        key_epoch,
        listener_key,
        listener_key_prev,
        true as is_new
    from new_keys
    union all
    select
        key_epoch,
        listener_key,
        listener_key_prev,
        false as is_new
    from counted

),

-- New keys whose older one nobody met: they are canonical themselves.
roots as (

    select
        new_keys.key_epoch,
        new_keys.listener_key,
        new_keys.listener_key_prev,
        new_keys.listener_key as canonical_listener_key,
        new_keys.is_new
    from known_keys as new_keys
    left join known_keys as older
        on
            new_keys.key_epoch = older.key_epoch + 1
            and new_keys.listener_key_prev = older.listener_key
    where new_keys.is_new and older.listener_key is null

),

from_roots as (

    select * from roots
    union all
    {{ next_in_chain('from_roots') }}

),

-- New keys whose older one was counted and stays as it was.
heirs as (

    select
        new_keys.key_epoch,
        new_keys.listener_key,
        new_keys.listener_key_prev,
        older.canonical_listener_key,
        true as is_new
    from new_keys
    inner join counted as older
        on
            new_keys.key_epoch = older.key_epoch + 1
            and new_keys.listener_key_prev = older.listener_key
    left join from_roots
        on
            new_keys.key_epoch = from_roots.key_epoch
            and new_keys.listener_key = from_roots.listener_key
    where from_roots.listener_key is null

),

from_heirs as (

    select * from heirs
    union all
    {{ next_in_chain('from_heirs') }}

),

followed as (

    select * from from_roots
    union all
    select * from from_heirs

)

select
    followed.key_epoch,
    followed.listener_key,
    followed.listener_key_prev,
    followed.canonical_listener_key,
    followed.is_new,
    coalesce(counted.canonical_listener_key, followed.listener_key) as former_canonical_key
from followed
left join counted
    on followed.key_epoch = counted.key_epoch and followed.listener_key = counted.listener_key
