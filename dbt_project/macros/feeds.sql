{# What the marts take from the state of the feeds (ingest/feeds/schema.py), and the rules that hang on it. #}

{# How old the last look at a podcast may be, by tier (UPDATES §4; ingest/feeds/schedule.py holds the same). #}
{% macro promise_s(tier) -%}
    case {{ tier }}
        when 'hot' then 900
        when 'active' then 3600
        when 'regular' then 21600
        when 'slow' then 86400
        when 'inactive' then 604800
        when 'dead' then 2592000
    end
{%- endmacro %}

{# The newest version of each row of a table that keeps versions by generation; files may repeat one. #}
{% macro newest(versions, key) %}
    select * from (
        select
            *,
            row_number() over (partition by {{ key }} order by generation desc) as version_rank
        from {{ versions }}
    ) as ranked
    where version_rank = 1
{% endmacro %}

{#
  The files of a table of the shards that hold its rows, as (file, shard, generation): those that a later
  `.all.parquet` holds too are left out.
#}
{% macro shard_files(table) %}
    with files as (

        select
            file,
            cast(regexp_extract(file, '.*shard=([0-9]+)/', 1) as bigint) as shard,
            cast(regexp_extract(file, '.*/([0-9]+)[.]', 1) as bigint) as generation,
            file like '%.all.parquet' as is_all
        from {{ files_like('catalog/shard=*/' ~ table ~ '/[0-9]*.parquet') }}

    ),

    merged as (

        select
            shard,
            max(generation) as generation
        from files
        where is_all
        group by shard

    ),

    current_files as (

        select files.*
        from files
        left join merged
            on files.shard = merged.shard
        where
            merged.shard is null
            or files.generation > merged.generation
            or (files.generation = merged.generation and files.is_all)

    )
{% endmacro %}

{# The files of a table that were not read yet, as rows of shard_files; `read_to`: SQL of (shard, generation). #}
{% macro new_files(table, read_to) %}
    {% set sql %}
        {{ shard_files(table) }}

        select current_files.*
        from current_files
        {% if read_to is not none %}
            left join ({{ read_to }}) as read_to
                on current_files.shard = read_to.shard
            where current_files.generation > coalesce(read_to.generation, 0)
        {% endif %}
        order by current_files.file
    {% endset %}
    {{ return(run_query(sql).rows) }}
{% endmacro %}

{# The files that were, of the shards of these podcasts; `keys`: SQL of podcast_key. #}
{% macro files_read(table, read_to, keys) %}
    {% set sql %}
        {{ shard_files(table) }}

        select current_files.file
        from current_files
        inner join ({{ read_to }}) as read_to
            on
                current_files.shard = read_to.shard
                and current_files.generation <= read_to.generation
        where current_files.shard in (select podcast_key & 255 from ({{ keys }}) as wanted)
        order by current_files.file
    {% endset %}
    {{ return(values_of(sql)) }}
{% endmacro %}

{# First column of `sql`, as a list; empty while dbt only parses. #}
{% macro values_of(sql) %}
    {{ return(run_query(sql).columns[0].values() | list if execute else []) }}
{% endmacro %}

{# The columns of lake/catalog/…/episodes that counting asks for. #}
{% macro feed_episode_columns() -%}
    podcast_key,
    episode_key,
    generation,
    guid,
    title,
    published_us,
    first_seen_us,
    removed_us,
    duration_s,
    enclosure_bytes,
    enclosure_canonical,
    enclosure_urls
{%- endmacro %}

{# The keys `sql` returns, as literals where they are few: then only their row groups are read. #}
{% macro few_keys(sql) %}
    {% if execute %}
        {% set keys = values_of('select * from (' ~ sql ~ ') as wanted limit 501') %}
        {% if 0 < keys | length <= 500 %}{{ return(keys | join(', ')) }}{% endif %}
    {% endif %}
    {{ return(sql) }}
{% endmacro %}

{# A mart as the last build left it; none before the first one. #}
{% macro remembered_mart(model) %}
    {{ return(adapter.get_relation(this.database, 'marts', model) if execute else none) }}
{% endmacro %}

{# The rows of stg_lake__metadata_changes that this build takes in. #}
{% macro new_changes() %}
    {% set new = ref('int_new_change_files') %}
    {% set files = values_of('select file from ' ~ new ~ ' order by day, shard, generation') %}
    select
        podcast_key,
        sequence,
        detected_us,
        change,
        episode_key,
        guid,
        is_minor,
        fields,
        record,
        generation
    {% if files %}
        from {{ parquet_files(files) }}
    {% else %}
        from {{ ref('stg_lake__metadata_changes') }}
        where 1 = 0
    {% endif %}
{% endmacro %}
