{# Reasons for which a request is left out as nobody's listening (R10 to R12). #}
{% macro nonhuman_reasons() -%}
    ('bot', 'bot_library', 'no_agent', 'datacenter', 'bogus_referrer', 'excluded_address')
{%- endmacro %}

{#
  Why two counts differ: the first rule that applies, from evidence on the row. "Half the difference" is enough,
  since causes mix. No evidence explains why a host sees more than a prefix that works, other than that players
  still ask for enclosures without it.
#}
{% macro likely_cause() %}
    case
        when is_within_tolerance then 'agrees'
        when greatest(prefix_downloads, server_log_downloads) < {{ reconciliation_min_downloads() }} then 'too_few'
        when (difference < 0 and is_prefix_late) or (difference > 0 and is_server_log_late) then 'late_files'
        when prefix_requests = 0 then 'missing_prefix'
        when server_log_requests = 0 then 'missing_server_log'
        when difference > 0 and 2 * below_threshold_windows >= difference then 'below_threshold'
        when difference > 0 and 2 * first_two_downloads >= difference then 'first_two'
        when
            2 * case
                when difference > 0 then server_log_nonhuman_share - prefix_nonhuman_share
                else prefix_nonhuman_share - server_log_nonhuman_share
            end >= difference_share then 'bots'
        else 'unexplained'
    end
{% endmacro %}

{# What both reconciliation marts derive from a row's counts. #}
{% macro reconciled(counts) %}
    compared as (

        select
            *,
            prefix_downloads - server_log_downloads as difference,
            abs(prefix_downloads - server_log_downloads)
            / greatest(prefix_downloads, server_log_downloads) as difference_share
        from {{ counts }}
        where greatest(prefix_downloads, server_log_downloads) > 0

    ),

    judged as (

        select
            *,
            difference_share <= {{ reconciliation_tolerance() }} as is_within_tolerance,
            greatest(
                abs(difference)
                - case when difference > 0 then below_threshold_windows + first_two_downloads else 0 end,
                0
            ) as unaccounted_downloads
        from compared

    )
{% endmacro %}
