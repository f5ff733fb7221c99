-- A podcast's changes are numbered from 1 on: a hole is a change that was lost.
select
    podcast_key,
    min(sequence) as first_sequence,
    max(sequence) as last_sequence,
    count(distinct sequence) as changes
from {{ ref('fct_metadata_changes') }}
group by podcast_key
having min(sequence) <> 1 or max(sequence) <> count(distinct sequence)
