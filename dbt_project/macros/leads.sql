{#
  What makes a podcast worth a call, each part between 0 and 1 (SQL over the columns of rpt_leads before it), and
  its weight in the score of 100. A judgement of ours; change it here.
#}
{% macro lead_parts() %}
    {{ return({
        'audience': {'weight': 25, 'sql': 'least(log10(1 + coalesce(downloads_30d, 0)) / 4, 1)'},
        'rhythm': {'weight': 20, 'sql': 'case when median_gap_days > 0 then least(7 / median_gap_days, 1) else 0 end'},
        'recency': {'weight': 15, 'sql': 'greatest(least((90 - coalesce(days_since_newest, 90)) / 76.0, 1), 0)'},
        'growth': {'weight': 15, 'sql': 'least(coalesce(acceleration, 0) / 2, 1)'},
        'catalogue': {'weight': 10, 'sql': 'least(log10(1 + coalesce(episode_count, 0)) / 2.5, 1)'},
        'contact': {'weight': 10, 'sql': 'case when owner_email is not null then 1 when owner_name is not null then 0.5 else 0 end'},
        'moment': {'weight': 5, 'sql': 'case when has_moved then 1 when changes_30d > 0 then 0.5 else 0 end'},
    }) }}
{% endmacro %}
