{#
  Which runs of a key's requests are windows, under each rule (IAB 2.3 §5.5.1). `requests` names a CTE with
  source_class, listener_key, episode_key and started_us; the macro continues the `with` list and ends with the
  CTE `runs`: one row a (key, first_request_us, last_request_us) with is_calendar, is_first_touch and
  is_last_touch. A window is always a run of consecutive requests, so its ends name it, and rules that agree
  share a row. Windows are anchored on qualifying requests whatever their bytes.

  Needs the CTE `spans`: by key first_request_us and is_one_window. Nearly every key has all its requests in one
  day, where the rules cannot differ: these are left out, and only the others are looked at one by one.
#}
{% macro find_runs(requests) %}
    instants as (

        select distinct
            requests.source_class,
            requests.listener_key,
            requests.episode_key,
            requests.started_us,
            {{ us_to_local_date('requests.started_us') }} as date
        from {{ requests }} as requests
        inner join spans
            on {{ same_key('requests', 'spans') }}
        where not spans.is_one_window

    ),

    -- R22: the window is the day.
    calendar as (

        select
            source_class,
            listener_key,
            episode_key,
            min(started_us) as first_request_us,
            max(started_us) as last_request_us
        from instants
        group by {{ window_key() }}, date

    ),

    -- R24: every request extends its window; a pause of 24 hours ends it.
    pauses as (

        select
            *,
            started_us - lag(started_us) over (
                partition by {{ window_key() }}
                order by started_us
            ) as pause_us
        from instants

    ),

    chained as (

        select
            *,
            sum(case when pause_us >= {{ window_us() }} then 1 else 0 end) over (
                partition by {{ window_key() }}
                order by started_us
                rows between unbounded preceding and current row
            ) as chain
        from pauses

    ),

    last_touch as (

        select
            source_class,
            listener_key,
            episode_key,
            min(started_us) as first_request_us,
            max(started_us) as last_request_us
        from chained
        group by {{ window_key() }}, chain

    ),

    -- R23: 24 hours from the first request; the first one at or after its end opens the next.
    following as (

        select
            *,
            min(started_us) over (
                partition by {{ window_key() }}
                order by started_us
                range between {{ window_us() }} following and unbounded following
            ) as next_us
        from instants

    ),

    anchors as (

        select
            source_class,
            listener_key,
            episode_key,
            first_request_us as anchor_us
        from spans
        where not is_one_window
        union all
        select
            anchors.source_class,
            anchors.listener_key,
            anchors.episode_key,
            following.next_us as anchor_us
        from anchors
        inner join following
            on
                {{ same_key('anchors', 'following') }}
                and anchors.anchor_us = following.started_us
        where following.next_us is not null

    ),

    first_touch as (

        select
            anchors.source_class,
            anchors.listener_key,
            anchors.episode_key,
            anchors.anchor_us as first_request_us,
            max(instants.started_us) as last_request_us
        from anchors
        inner join instants
            on
                {{ same_key('anchors', 'instants') }}
                and instants.started_us >= anchors.anchor_us
                and instants.started_us < anchors.anchor_us + {{ window_us() }}
        group by anchors.source_class, anchors.listener_key, anchors.episode_key, anchors.anchor_us

    ),

    by_rule as (

        {% for rule in window_rules().split() %}
            select
                *,
                '{{ rule }}' as rule
            from {{ rule }}
            {% if not loop.last %}union all{% endif %}
        {% endfor %}

    ),

    runs as (

        select
            source_class,
            listener_key,
            episode_key,
            first_request_us,
            last_request_us,
            {% for rule in window_rules().split() %}
                max(case when rule = '{{ rule }}' then 1 else 0 end) = 1 as is_{{ rule }}
                {%- if not loop.last %},{% endif %}
            {% endfor %}
        from by_rule
        group by {{ window_key() }}, first_request_us, last_request_us

    )
{% endmacro %}

{#
  What a window's requests come to. Few and narrow aggregates: their state is what counting costs. What a window
  says of its listener and episode is read from one of its lines, the first by `line_key`.

  ends: where ranges begin, and where they end, as marks of 64 bits, of which two that are alike cancel out.
  keys, more_keys: which of 64 each request's key is, by six of its bits, and by six others.
#}
{% macro window_facts(requests) %}
        {%- set end = 'greatest(' ~ requests ~ '.content_last + 1, ' ~ requests ~ '.content_first)' %}
        min({{ requests }}.line_key) as line_key,
        min({{ requests }}.started_us) as first_request_us,
        max({{ requests }}.started_us) as last_request_us,
        count(*) as lines,
        min({{ requests }}.threshold_bytes) as threshold_bytes,
        min({{ requests }}.threshold_source_number) as threshold_source_number,
        min(case when {{ requests }}.is_comparable then 1 else 0 end) as only_comparable,
        min(case when {{ requests }}.is_first_two then 1 else 0 end) as only_first_two,
        sum({{ requests }}.served_bytes) as served_bytes,
        min({{ requests }}.content_first) as content_first,
        max({{ end }}) as content_end,
        bit_xor({{ bits_xor(hashed(requests ~ '.content_first'), hashed(end)) }}) as ends,
        bit_or({{ one_bit(requests ~ '.request_key & 63') }}) as keys,
        bit_or({{ one_bit('(' ~ requests ~ '.request_key >> 6) & 63') }}) as more_keys
{%- endmacro %}

{#
  Are the facts of a window of `facts` all there is to say, so that its requests need not be looked at one by one?
  So it is where no request was delivered twice, since their keys differ in six bits already, and where each range
  begins where another one ends, but for the first and the last: then their union is one range. (Where only the
  marks of its own ends are left an odd number of ranges lies over each byte of it, hence one at least; by chance
  that is so once in 2^64.)
  † 0.2 of 1.4 CPU-s, and true of two thirds of the windows with several requests in a made-up world.
#}
{% macro facts_suffice(facts) -%}
    greatest(bit_count({{ facts }}.keys), bit_count({{ facts }}.more_keys)) = {{ facts }}.lines
    and {{ facts }}.ends = {{ bits_xor(hashed(facts ~ '.content_first'), hashed(facts ~ '.content_end')) }}
{%- endmacro %}

{#
  Where a threshold may come from (int_enclosures), in the order in which the first of several goes; by number,
  since texts are compared later († 0.1 of 1.4 CPU-s).
#}
{% macro threshold_sources() %}default episode log show{% endmacro %}
{% macro threshold_source_number(column) -%}
    case {{ column }}{% for name in threshold_sources().split() %} when '{{ name }}' then {{ loop.index0 }}{% endfor %} end
{%- endmacro %}
{% macro threshold_source_name(column) -%}
    case {{ column }}{% for name in threshold_sources().split() %} when {{ loop.index0 }} then '{{ name }}'{% endfor %} end
{%- endmacro %}
