{#
  The windows of the keys whose counting restarts, from the restart on; int_download_windows makes those of a batch
  itself (counts_at_once). A view, since it is read once († 0.3 of 3.6 CPU-s to write it down); very many are written
  down all the same (recounted_windows).
#}
{{ config(materialized='view') }}
-- depends_on: {{ ref('int_requests') }}, {{ ref('int_recounted_requests') }}

{{ windows_of(requests_to_count()) }}
