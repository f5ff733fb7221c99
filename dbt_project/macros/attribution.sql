{#
  Attribution's parameters and the shapes its models share (ATTRIBUTION.md §2). Those of the solve stand in
  attribution/parameters.py.
#}

{% macro days_us(days) -%}{{ (days * 86400000000) | int }}{%- endmacro %}

{# Exposure counts for so long from the start of a collaboration; a new listener comes within the follow-up. #}
{% macro exposure_us() %}{{ days_us(14) }}{% endmacro %}
{% macro follow_up_us() %}{{ days_us(30) }}{% endmacro %}

{# Without a download of A for so long, a listener does not know it. #}
{% macro look_back_us() %}{{ days_us(60) }}{% endmacro %}

{# A tenured key was first seen so long ago and was active since, before this sitting. #}
{% macro tenure_us() %}{{ days_us(28) }}{% endmacro %}
{% macro sitting_us() %}{{ days_us(0.5) }}{% endmacro %}

{# How far back a key's downloads tell its stratum. #}
{% macro strata_us() %}{{ days_us(45) }}{% endmacro %}

{# An address with more families of agents in a week is shared by strangers. #}
{% macro most_families() %}5{% endmacro %}
{% macro week_us() %}{{ days_us(7) }}{% endmacro %}

{# Whether it was by the end of a follow-up: only weeks that were over by then count, so that none comes later. #}
{% macro is_shared_by(shared_us, final_us) -%}
    coalesce({{ shared_us }} + {{ week_us() }} <= {{ final_us }}, false)
{%- endmacro %}

{# The placebo episodes, and the pools beside them, lie so long before the first exposure of all siblings. #}
{% macro history_from_us() %}{{ days_us(80) }}{% endmacro %}
{% macro placebos_until_us() %}{{ days_us(44) }}{% endmacro %}

{#
  Pools are drawn from a panel of about so many devices of long tenure: about 60,000 of them are active in 14 days.
  For placebo triples, of which only the spread counts, a quarter suffices, and beside each placebo episode, of which a
  target has about five, an eighth: θ's own error is several times larger.
#}
{% macro panel_keys() %}{{ var('panel_keys', 240000) }}{% endmacro %}
{% macro placebo_panel_keys() %}{{ var('placebo_panel_keys', 60000) }}{% endmacro %}
{% macro history_panel_keys() %}{{ var('history_panel_keys', 30000) }}{% endmacro %}

{# Placebo triples that calibrate the interval: more than 100, since some are too small to tell. #}
{% macro placebo_triples() %}130{% endmacro %}
{% macro placebo_shows() %}200{% endmacro %}

{# Retention: episodes of A that a convert downloads within so long of the first. #}
{% macro retention_us() %}{{ days_us(28) }}{% endmacro %}

{# G: the share of those whom an exposure brings that has come after so long. #}
{% macro response(after) -%}
    case when {{ after }} > 0 then 1 - exp(-({{ after }}) / {{ days_us(6) }}.0) else 0.0 end
{%- endmacro %}

{#
  A sum that is the same in whatever order its rows come, in steps of 1e-12: doubles add up to another one, and a
  rebuild or another order of files would differ in the last digits. `digits`: 18, up to a million each, or 30.
#}
{% macro exact_sum(values, digits=18) -%}
    cast(sum(cast({{ values }} as decimal({{ digits }}, 12))) as double)
{%- endmacro %}

{# 60 bits of a text: the same number wherever it is computed; null of null. #}
{% macro text_key(column) %}{{ return(adapter.dispatch('text_key', 'earshot')(column)) }}{% endmacro %}
{% macro default__text_key(column) %}cast(conv(substr(md5({{ column }}), 1, 15), 16, 10) as bigint){% endmacro %}
{% macro duckdb__text_key(column) %}cast('0x' || substr(md5({{ column }}), 1, 15) as bigint){% endmacro %}

{# A family of agents: the app and the system it runs on, without versions. #}
{% macro family_key(app, os) -%}
    {{ text_key("concat(coalesce(" ~ app ~ ", ''), '|', coalesce(" ~ os ~ ", ''))") }}
{%- endmacro %}

{# The bits in which two numbers differ; and those of all numbers of a group, whatever their order. #}
{% macro xor_bits(left, right) %}{{ return(adapter.dispatch('xor_bits', 'earshot')(left, right)) }}{% endmacro %}
{% macro default__xor_bits(left, right) %}({{ left }} ^ {{ right }}){% endmacro %}
{% macro duckdb__xor_bits(left, right) %}xor({{ left }}, {{ right }}){% endmacro %}

{#
  Downloads as attribution sees them (SQL with the columns of int_device_downloads, not yet one a key, episode
  and date). A key is the address, under the oldest of its successive keys, and the family of agents: addresses'
  keys are random, so no two pairs share the number in which both are mixed.
  days: SQL of the dates wanted; none for all.
#}
{% macro keyed_downloads(days=none) %}
    select
        downloads.date,
        downloads.first_request_us as started_us,
        downloads.episode_key,
        shows.show_key,
        coalesce(chains.canonical_address_key, downloads.address_key) as address_key,
        {{ xor_bits(
            'coalesce(chains.canonical_address_key, downloads.address_key)', 'families.family_key'
        ) }} as device_key
    from {{ ref('fct_downloads') }} as downloads
    left join {{ ref('int_address_chains') }} as chains
        on
            downloads.key_epoch = chains.key_epoch
            and downloads.address_key = chains.address_key
    inner join {{ ref('int_agent_families') }} as families
        on
            downloads.app is not distinct from families.app
            and downloads.os is not distinct from families.os
    left join {{ ref('int_show_keys') }} as shows
        on downloads.show_id = shows.show_id
    where
        downloads.downloads = 1
        and coalesce(downloads.key_epoch, 0) >= 0
        {% if days is not none %}and downloads.date in ({{ days }}){% endif %}
{% endmacro %}

{# Delete the targets that were measured again and those that are none any more, then insert these. #}
{% macro get_incremental_replace_targets_sql(arg_dict) %}
    {% set columns = arg_dict['dest_columns'] | map(attribute='quoted') | join(', ') %}

    delete from {{ arg_dict['target_relation'] }}
    where
        target_id in (select due.target_id from {{ ref('int_collaborations') }} as due where due.is_due)
        or target_id not in (select known.target_id from {{ ref('int_collaborations') }} as known);

    insert into {{ arg_dict['target_relation'] }} ({{ columns }})
    select {{ columns }} from {{ arg_dict['temp_relation'] }}
{% endmacro %}

{#
  Forget how far the due targets were measured: a build that dies on the way leaves none of them half measured under
  a mark that a later correction may bring back.
#}
{% macro forget_due_targets() %}
    {% set measured = remembered('int_cohort_totals') %}
    {% if measured is not none and not flags.FULL_REFRESH %}
        delete from {{ measured }}
        where target_id in (select due.target_id from {{ this }} as due where due.is_due)
    {% endif %}
{% endmacro %}

{# Delete the dates that were read again and those without downloads, then insert these. #}
{% macro get_incremental_replace_marked_days_sql(arg_dict) %}
    {% set columns = arg_dict['dest_columns'] | map(attribute='quoted') | join(', ') %}

    delete from {{ arg_dict['target_relation'] }} as target
    where not exists (
        select 1
        from {{ ref('int_device_days') }} as days
        where target.date = days.date and target.day_mark = days.day_mark
    );

    insert into {{ arg_dict['target_relation'] }} ({{ columns }})
    select {{ columns }} from {{ arg_dict['temp_relation'] }}
{% endmacro %}

{#
  Whether a device is of the panel of about `most` devices: its key begins with as many 0 bits as leave so many of
  those that were seen over at least the tenure. Keys are random, so it is a sample, the same in every build.
#}
{% macro in_panel(device_key, most=none) -%}
    {%- set bits = panel_bits(most or panel_keys()) | int -%}
    {%- if bits == 0 -%}
        true
    {%- else -%}
        ({{ device_key }} >= 0 and {{ device_key }} < {{ 2 ** (64 - bits) }})
    {%- endif -%}
{%- endmacro %}

{% macro panel_bits(most) %}
    {% if execute %}
        {% set counted = values_of(
            'select count(*) from ' ~ ref('int_device_keys') ~ ' where last_us - first_us >= ' ~ tenure_us()
        ) %}
        {% set bits = namespace(found=0) %}
        {% for candidate in range(1, 40) if counted[0] >= most | int * 2 ** candidate %}
            {% set bits.found = candidate %}
        {% endfor %}
        {{ return(bits.found) }}
    {% endif %}
    {{ return(0) }}
{% endmacro %}

{# A figure of fct_collaboration_lift's `measured`, where enough was seen to publish one (ATTRIBUTION §2.11). #}
{% macro where_sufficient(figure) %}case when not measured.is_insufficient then {{ figure }} end{% endmacro %}
