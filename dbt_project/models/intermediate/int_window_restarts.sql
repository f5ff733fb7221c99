{#
  Counting restarts per listener and episode at the stored window that covers the key's earliest new request,
  else at that request: windows before it cannot change, all from it on are counted again. Equal to a full
  rebuild, also for files days late. A calendar window stands alone, so there the restart is the day itself.
#}
{% set windows = remembered('int_download_windows') %}
{% set from_scratch = builds_from_scratch() %}
{% set new_days = date_literals('select distinct day from ' ~ ref('int_new_files')) %}

with requests as (

    select * from {{ ref('int_requests') }}

),

new_files as (

    select distinct
        source,
        file_id
    from {{ ref('int_new_files') }}

),

changed_enclosures as (

    select * from {{ ref('int_changed_enclosures') }}

),

new_requests as (

    select
        requests.source_class,
        requests.listener_key,
        requests.episode_key,
        requests.started_us
    from requests
    inner join new_files
        on requests.source = new_files.source and requests.file_id = new_files.file_id
    where requests.day in ({{ new_days }}) and requests.exclusion_reason is null

),

-- A changed catalogue entry moves or re-weighs requests counted long ago: count both its episodes again.
moved_requests as (

    select
        requests.source_class,
        requests.listener_key,
        changed_enclosures.episode_key,
        changed_enclosures.former_episode_key,
        requests.started_us
    from requests
    inner join changed_enclosures
        on requests.enclosure_key = changed_enclosures.enclosure_key

),

touched as (

    select * from new_requests
    union all
    select
        source_class,
        listener_key,
        episode_key,
        started_us
    from moved_requests
    union all
    select
        source_class,
        listener_key,
        former_episode_key,
        started_us
    from moved_requests

),

{% if from_scratch %}

    final as (

        select
            source_class,
            listener_key,
            episode_key,
            started_us as restart_us,
            started_us as until_us
        from touched
        where 1 = 0

    )

{% elif window_rule() == 'calendar' %}

    final as (

        select distinct
            source_class,
            listener_key,
            episode_key,
            {{ int_div('started_us', window_us()) }} * {{ window_us() }} as restart_us,
            ({{ int_div('started_us', window_us()) }} + 1) * {{ window_us() }} as until_us
        from touched

    )

{% else %}

    earliest as (

        select
            source_class,
            listener_key,
            episode_key,
            min(started_us) as started_us
        from touched
        group by {{ window_key() }}

    ),

    final as (

        select
            earliest.source_class,
            earliest.listener_key,
            earliest.episode_key,
            9223372036854775807 as until_us,
            coalesce(min(windows.window_start_us), min(earliest.started_us)) as restart_us
        from earliest
        left join {{ windows }} as windows
            on
                {{ same_key('earliest', 'windows') }}
                and earliest.started_us >= windows.window_start_us
                and earliest.started_us < windows.window_end_us
        group by earliest.source_class, earliest.listener_key, earliest.episode_key

    )

{% endif %}

select
    source_class,
    listener_key,
    episode_key,
    restart_us,
    until_us,
    {{ us_to_date('restart_us') }} as restart_date
from final
