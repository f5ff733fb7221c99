{#
  The newest version of each episode of the matched podcasts, and, as rows without an episode, up to which
  generation each shard's files were read: so what was read and what came of it are committed together, and a
  build that dies is simply done again. New files alone are read, and of podcasts that were matched since, the
  older ones of their shards.
#}
{{ config(
    materialized='incremental',
    incremental_strategy='replace_episodes',
) }}
{% set read_to %}
    select
        shard,
        generation
    from {{ this }}
    where episode_key is null
{% endset %}
{% set unread %}
    select matched.podcast_key
    from {{ ref('int_matched_podcasts') }} as matched
    {% if is_incremental() %}
        left join {{ this }} as known
            on matched.podcast_key = known.podcast_key and known.is_whole
        where known.podcast_key is null
    {% endif %}
{% endset %}
{# Generations begin with 1. #}
{% set found = new_files('episodes', read_to if is_incremental() else none) if execute else [] %}
{% set new_rows = found | selectattr('generation') | list %}
{% set new = new_rows | map(attribute='file') | list %}
{% set older = files_read('episodes', read_to, unread) if execute and is_incremental() else [] %}
-- depends_on: {{ ref('int_requested_enclosures') }}, {{ ref('stg_lake__registered') }}

with read_now (shard, generation) as (

    values
    {% for row in new_rows %}
        ({{ row.shard }}, {{ row.generation }}),
    {% endfor %}
    (-1, 0)

),

read_shards as (

    select
        cast(shard as bigint) as shard,
        cast(max(generation) as bigint) as generation
    from read_now
    where shard >= 0
    group by shard

),

{% if new or older %}

    {% if new %}

        matched as (

            select podcast_key from {{ ref('int_matched_podcasts') }}
            union
            -- A customer's first episodes may be in the lake before the podcast is matched.
            select podcast_key from {{ ref('stg_lake__registered') }}
            where is_customer
            union
            select urls.podcast_key
            from (
                select
                    podcast_key,
                    {{ explode('enclosure_urls') }} as enclosure_url
                from {{ parquet_files(new) }}
            ) as urls
            inner join {{ ref('int_requested_enclosures') }} as requested
                on urls.enclosure_url = requested.enclosure_url

        ),

    {% endif %}

    versions as (

        {% if new %}
            select {{ feed_episode_columns() }}
            from {{ parquet_files(new) }}
            where podcast_key in (select matched.podcast_key from matched)
        {% endif %}
        {% if new and older %}union all{% endif %}
        {% if older %}
            select {{ feed_episode_columns() }}
            from {{ parquet_files(older) }}
            where podcast_key in ({{ few_keys(unread) }})
        {% endif %}

    ),

    newest_versions as (

        {{ newest('versions', 'podcast_key, episode_key') }}

    ),

    episodes as (

        select
            newest_versions.*,
            {% if is_incremental() %}
                whole.podcast_key is not null as is_whole
            {% else %}
                true as is_whole
            {% endif %}
        from newest_versions
        {% if is_incremental() %}
            left join {{ ref('int_matched_podcasts') }} as whole
                on newest_versions.podcast_key = whole.podcast_key
            left join {{ this }} as known
                on
                    newest_versions.podcast_key = known.podcast_key
                    and newest_versions.episode_key = known.episode_key
            where
                known.episode_key is null
                or known.generation < newest_versions.generation
                or (whole.podcast_key is not null and not known.is_whole)
        {% endif %}

    ),

{% endif %}

final as (

    {% if new or older %}
        select
            podcast_key,
            podcast_key & 255 as shard,
            episode_key,
            generation,
            is_whole,
            guid,
            title,
            -- It was out when it was seen, whatever its date says.
            case when published_us is not null then least(published_us, first_seen_us) end as published_us,
            first_seen_us,
            removed_us,
            case when duration_s > 0 then duration_s end as duration_s,
            -- Feeds write any number there: one that leaves less than 8 kbit/s is none.
            case when duration_s > 0 and enclosure_bytes >= 1000 * duration_s then enclosure_bytes end
                as enclosure_bytes,
            enclosure_canonical,
            enclosure_urls
        from episodes
        union all
    {% endif %}
    select
        cast(null as bigint) as podcast_key,
        shard,
        cast(null as bigint) as episode_key,
        generation,
        cast(null as boolean) as is_whole,
        cast(null as varchar) as guid,
        cast(null as varchar) as title,
        cast(null as bigint) as published_us,
        cast(null as bigint) as first_seen_us,
        cast(null as bigint) as removed_us,
        cast(null as double) as duration_s,
        cast(null as bigint) as enclosure_bytes,
        cast(null as varchar) as enclosure_canonical,
        cast(null as {{ text_list_type() }}) as enclosure_urls
    from read_shards

)

select * from final
