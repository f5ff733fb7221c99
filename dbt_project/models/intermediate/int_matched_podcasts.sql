{#
  The podcasts whose episodes the downloads marts know: those of customers, and those of which an enclosure was
  asked for. A million podcasts have a hundred million episodes, so the others stay in the lake. A feed's new
  files are compared with what was asked for as they come (int_feed_episodes); here the older ones are, for
  enclosures of which no feed is known yet.
#}
{% set known = remembered('int_feed_episodes') %}
{% set in_catalog = remembered('int_catalog_enclosures') %}
{% set is_later = known is not none and not flags.FULL_REFRESH %}
{% set unmatched %}
    select requested.enclosure_url
    from {{ ref('int_requested_enclosures') }} as requested
    {% if is_later and in_catalog is not none %}
        left join {{ in_catalog }} as in_catalog
            on requested.enclosure_key = in_catalog.enclosure_key
        where in_catalog.podcast_key is null
    {% endif %}
{% endset %}
-- depends_on: {{ ref('stg_lake__podcast_episodes') }}
{% set has_unmatched = values_of(unmatched ~ ' limit 1') | length > 0 %}

with podcasts as (

    {{ newest(ref('stg_lake__podcasts'), 'podcast_key') }}

),

registered as (

    select * from {{ ref('stg_lake__registered') }}

),

{% if has_unmatched %}

    unmatched as (

        {{ unmatched }}

    ),

    urls as (

        select
            podcast_key,
            {{ explode('enclosure_urls') }} as enclosure_url
        from {{ ref('stg_lake__podcast_episodes') }}

    ),

{% endif %}

wanted as (

    select podcast_key from registered
    where is_customer
    {% if is_later %}
        union all
        select podcast_key from {{ known }}
        where episode_key is not null
    {% endif %}
    {% if has_unmatched %}
        union all
        select urls.podcast_key
        from urls
        inner join unmatched
            on urls.enclosure_url = unmatched.enclosure_url
    {% endif %}

),

keys as (

    select distinct podcast_key from wanted

)

-- One without episodes is looked at again when it has some.
select
    podcasts.podcast_key,
    podcasts.podcast_guid,
    podcasts.title
from podcasts
inner join keys
    on podcasts.podcast_key = keys.podcast_key
where podcasts.episode_count > 0
