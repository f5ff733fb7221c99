{#
  What rule-based attribution, the industry's practice, would credit: gross, beside the incremental figure
  (docs/attribution.md, Gross figures). A listener is new to A with a download after 60 days without one; the
  collaborations of A that it touched in the window before share the credit.

  Cheap, since the downloads are never joined to themselves and only few rows leave a scan. Three scans, each
  against a small table in memory: two find the touches (the collaborations: some thousand rows), one the
  downloads of A by those who touched, near their touches. All that follows is as long as these.
#}
{{ config(materialized='incremental', incremental_strategy='kept_collaborations') }}

{% set rules = ['last_touch', 'first_touch', 'linear', 'time_decay'] %}
{% set window_days = [7, 14, 30, 60] %}
{% set longest_window_us = days_us(window_days | max) %}
{% set silence_us = look_back_us() %}
{% set half_life_us = days_us(7) %}
{% set new_download = 'listener_key, show_id, new_us, window_days' %}

with collaborations as (

    select
        target_id as collaboration_id,
        show_id,
        partner_show_id,
        episode_id,
        episode_key,
        starts_us,
        exposure_ends_us
    from {{ ref('int_collaborations') }}
    where not is_placebo

),

windows as (

    {% for days in window_days %}
        select {{ days }} as window_days
        {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

-- Each use reads the downloads for itself: a CTE with several uses would be kept whole.
touches as (

    select
        collaborations.collaboration_id,
        collaborations.show_id,
        downloads.listener_key,
        downloads.first_request_us as touched_us
    from {{ ref('fct_downloads') }} as downloads
    inner join collaborations
        on
            downloads.episode_key = collaborations.episode_key
            and downloads.first_request_us >= collaborations.starts_us
            and downloads.first_request_us < collaborations.exposure_ends_us
    where downloads.downloads = 1
    union all
    select
        collaborations.collaboration_id,
        collaborations.show_id,
        downloads.listener_key,
        downloads.first_request_us as touched_us
    from {{ ref('fct_downloads') }} as downloads
    inner join collaborations
        on
            downloads.show_id = collaborations.partner_show_id
            and downloads.first_request_us >= collaborations.starts_us
            and downloads.first_request_us < collaborations.exposure_ends_us
    -- A range of time names no episode; one that is named but not known yet has no key, and no touches.
    where downloads.downloads = 1 and collaborations.episode_key is null and collaborations.episode_id is null

),

exposed as (

    select
        collaboration_id,
        count(distinct listener_key) as touches
    from touches
    group by collaboration_id

),

touched as (

    select
        listener_key,
        show_id,
        min(touched_us) as first_us,
        max(touched_us) as last_us
    from touches
    group by listener_key, show_id

),

-- Downloads of A that are older or younger than this decide nothing. One measured twice comes at nearly, or
-- exactly, the same time: the second is not new.
histories as (

    select
        downloads.listener_key,
        downloads.show_id,
        downloads.first_request_us as started_us,
        lag(downloads.first_request_us) over (
            partition by downloads.listener_key, downloads.show_id
            order by downloads.first_request_us
        ) as former_us
    from {{ ref('fct_downloads') }} as downloads
    inner join touched
        on
            downloads.listener_key = touched.listener_key
            and downloads.show_id = touched.show_id
            and downloads.first_request_us >= touched.first_us - {{ silence_us }}
            and downloads.first_request_us <= touched.last_us + {{ longest_window_us }}
    where downloads.downloads = 1

),

-- No download of A in the 60 days before, [t - 60 d, t).
new_downloads as (

    select
        listener_key,
        show_id,
        started_us as new_us
    from histories
    where former_us is null or former_us < started_us - {{ silence_us }}

),

-- One row a new download, window [t - days, t) and collaboration touched in it: a second touch adds nothing.
credited as (

    select
        touches.listener_key,
        touches.show_id,
        new_downloads.new_us,
        windows.window_days,
        touches.collaboration_id,
        min(touches.touched_us) as first_us,
        max(touches.touched_us) as last_us
    from touches
    inner join new_downloads
        on
            touches.listener_key = new_downloads.listener_key
            and touches.show_id = new_downloads.show_id
            and touches.touched_us < new_downloads.new_us
            and touches.touched_us >= new_downloads.new_us - {{ longest_window_us }}
    cross join windows
    where touches.touched_us >= new_downloads.new_us - windows.window_days * {{ days_us(1) }}
    group by
        touches.listener_key, touches.show_id, new_downloads.new_us, windows.window_days,
        touches.collaboration_id

),

-- Decimals add up to the same sum in any order, so a rebuild gives the same figures.
decayed as (

    select
        *,
        cast(power(2, (last_us - new_us) / {{ half_life_us }}) as decimal(18, 15)) as weight
    from credited

),

-- Of touches at the same microsecond the younger collaboration is the last, the older the first.
ranked as (

    select
        *,
        row_number() over (
            partition by {{ new_download }}
            order by last_us desc, collaboration_id desc
        ) as rank_from_last,
        row_number() over (
            partition by {{ new_download }}
            order by first_us, collaboration_id
        ) as rank_from_first,
        count(*) over (partition by {{ new_download }}) as collaborations,
        sum(weight) over (partition by {{ new_download }}) as all_weight
    from decayed

),

credits as (

    select
        collaboration_id,
        window_days,
        count(case when rank_from_last = 1 then 1 end) as last_touch,
        count(case when rank_from_first = 1 then 1 end) as first_touch,
        sum(cast(cast(1 as double) / collaborations as decimal(18, 12))) as linear,
        sum(cast(cast(weight as double) / cast(all_weight as double) as decimal(18, 12))) as time_decay
    from ranked
    group by collaboration_id, window_days

),

figures as (

    select
        collaborations.collaboration_id,
        windows.window_days,
        credits.last_touch,
        credits.first_touch,
        credits.linear,
        credits.time_decay,
        coalesce(exposed.touches, 0) as touches
    from collaborations
    cross join windows
    left join credits
        on
            collaborations.collaboration_id = credits.collaboration_id
            and windows.window_days = credits.window_days
    left join exposed
        on collaborations.collaboration_id = exposed.collaboration_id

)

{% for rule in rules %}
    select
        collaboration_id,
        '{{ rule }}' as rule, -- noqa: RF04
        window_days,
        cast(coalesce({{ rule }}, 0) as double) as new_listeners,
        touches
    from figures
    {% if not loop.last %}union all{% endif %}
{% endfor %}
