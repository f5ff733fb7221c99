{{ config(meta={'dagster': {'ref': {'name': 'fct_exclusions_daily'}}}) }}

-- Every logged line is a download, has a reason why not, or came twice: nothing is lost, whatever the rule.
-- Sums, not days: a rolling window counts all its requests on its first day.
--
-- Once requests were removed for their age, the marts tell of more than the lake holds. Then this compares what
-- begins on the dates that the lake holds whole. Left out on both sides are chains of requests that reach over
-- the first of them: they were counted on a date before, and lines that came late for them count no more. No
-- window of any rule reaches over an end of its chain, so all else is compared to the line.
-- depends_on: {{ ref('stg_lake__requests') }}, {{ ref('int_requests') }}, {{ ref('int_download_windows') }}
{% set kept_us = first_kept_us() %}
{% if kept_us is not none %}
    {% set first_date %}
        ({{ us_to_local_date(kept_us) }}{% if time_zone() != 'UTC' %} + 1{% endif %})
    {% endset %}
    {% set since = 'date >= ' ~ first_date | trim %}
{% else %}
    {% set since = 'true' %}
{% endif %}

with logged as (

    select count(*) as lines
    from {{ ref('int_requests' if kept_us is not none else 'stg_lake__requests') }}
    where {{ since }}

),

{% if kept_us is not none %}

    over_the_border as (

        select
            source_class,
            listener_key,
            episode_key,
            last_request_us
        from {{ ref('int_download_windows') }}
        where is_last_touch and not ({{ since }}) and {{ us_to_local_date('last_request_us') }} >= {{ first_date }}

    ),

    left_out_lines as (

        select
            count(distinct requests.request_key) as requests
        from {{ ref('int_requests') }} as requests
        inner join over_the_border
            on
                {{ same_key('requests', 'over_the_border') }}
                and requests.started_us <= over_the_border.last_request_us
        where requests.{{ since }} and requests.exclusion_reason is null

    ),

    left_out_windows as (

        select
            {% for rule in window_rules().split() %}
                coalesce(sum(case when windows.is_{{ rule }} then windows.requests end), 0) as requests_{{ rule }}
                {%- if not loop.last %},{% endif %}
            {% endfor %}
        from {{ ref('int_download_windows') }} as windows
        inner join over_the_border
            on
                {{ same_key('windows', 'over_the_border') }}
                and windows.first_request_us <= over_the_border.last_request_us
        where windows.{{ since }}

    ),

{% else %}

    left_out_lines as (

        select 0 as requests

    ),

    left_out_windows as (

        select
            {% for rule in window_rules().split() %}
                0 as requests_{{ rule }}{% if not loop.last %},{% endif %}
            {% endfor %}

    ),

{% endif %}

excluded as (

    select
        {% for rule in window_rules().split() %}
            coalesce(sum(requests_{{ rule }}), 0) as requests_{{ rule }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from {{ ref('fct_exclusions_daily') }}
    where {{ since }}

),

counted as (

    select
        {% for rule in window_rules().split() %}
            coalesce(sum(downloads_{{ rule }}), 0) as downloads_{{ rule }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from {{ ref('fct_episode_daily') }}
    where {{ since }}

),

compared as (

    select
        {% for rule in window_rules().split() %}
            logged.lines - left_out_lines.requests as lines_{{ rule }},
            excluded.requests_{{ rule }} + counted.downloads_{{ rule }}
            - left_out_windows.requests_{{ rule }} as told_{{ rule }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from logged
    cross join left_out_lines
    cross join left_out_windows
    cross join excluded
    cross join counted

)

select *
from compared
where
    {% for rule in window_rules().split() %}
        lines_{{ rule }} <> told_{{ rule }}
        {% if not loop.last %}or{% endif %}
    {% endfor %}
