{#
  Each date's downloads as one text, which differs when any of them does, whichever batch brought it: what is new
  to attribution is told by the data alone, so a build that died is simply done again.
#}
{% set what = xor_bits('device_key', 'episode_key') %}
{% set mixed = xor_bits(what, xor_bits('started_us', 'coalesce(show_key, 0)')) %}
with downloads as (

    {{ keyed_downloads() }}

)

select
    date,
    concat(
        cast(count(*) as varchar), ' ',
        cast(bit_xor({{ mixed }}) as varchar), ' ',
        cast(sum({{ mixed }} & 4294967295) as varchar)
    ) as day_mark
from downloads
group by date
