{#
  The windows of the keys whose counting restarts, from the restart on. None where int_download_windows does it all.
#}
-- depends_on: {{ ref('int_requests') }}, {{ ref('int_recounted_requests') }}

{{ windows_of(requests_to_count()) }}
