{#
  The measures of a daily mart over windows: requests, bytes and listeners under the published rule, downloads
  under each. Rules are alternatives, never to be summed.
#}
{% macro download_measures() %}
    cast(coalesce(sum(case when {{ published() }} then requests end), 0) as bigint) as requests,
    cast(coalesce(sum(case when {{ published() }} then served_bytes end), 0) as bigint) as served_bytes,
    count(case when is_counted and {{ published() }} then 1 end) as downloads,
    {% for rule in window_rules().split() %}
        count(case when is_counted and is_{{ rule }} then 1 end) as downloads_{{ rule }},
    {% endfor %}
    count(distinct case when is_counted and {{ published() }} then listener_key end) as listeners,
    count(
        case when is_counted and {{ published() }} and threshold_source <> 'episode' then 1 end
    ) as estimated_downloads,
    count(
        case when is_counted and {{ published() }} and not is_comparable then 1 end
    ) as uncomparable_downloads
{%- endmacro %}
