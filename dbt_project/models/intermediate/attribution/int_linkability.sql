{#
  λ: of those whom an exposure brings, the share that plays A under the key that was exposed. Apps tell which keys
  are one installation: its first play of a show is looked at as if each of its plays in the follow-up before had
  been the exposure, the later ones being likelier to be (G). An installation counts once, since its plays share
  its habits; the share of some plays varies less than that of one, so the binomial error is an upper one.
#}
with told as (

    select
        plays.install_key,
        plays.started_us,
        {{ text_key('plays.show_id') }} as show_key,
        {{ xor_bits(
            'coalesce(chains.canonical_address_key, plays.address_key)', family_key('plays.app', 'plays.os')
        ) }} as device_key
    from {{ ref('stg_lake__app_devices') }} as plays
    left join {{ ref('int_address_chains') }} as chains
        on plays.key_epoch = chains.key_epoch and plays.address_key = chains.address_key

),

known_keys as (

    select
        install_key,
        device_key,
        min(started_us) as first_us
    from told
    group by install_key, device_key

),

numbered as (

    select
        install_key,
        show_key,
        started_us,
        device_key,
        row_number() over (partition by install_key, show_key order by started_us, device_key) as number
    from told

),

first_plays as (

    select
        install_key,
        show_key,
        started_us,
        device_key
    from numbered
    where number = 1

),

-- As in a cohort: a tenured key at a clean address.
exposures as (

    select
        first_plays.install_key,
        first_plays.show_key,
        -- 1 - G falls as its density does.
        1 - {{ response('first_plays.started_us - told.started_us') }} as weight,
        case when told.device_key = first_plays.device_key then 1.0 else 0.0 end as is_linked
    from first_plays
    inner join told
        on
            first_plays.install_key = told.install_key
            and first_plays.started_us > told.started_us
            and first_plays.started_us - {{ follow_up_us() }} <= told.started_us
    inner join known_keys
        on
            told.install_key = known_keys.install_key
            and told.device_key = known_keys.device_key
            and told.started_us - {{ tenure_us() }} >= known_keys.first_us
    left join {{ ref('int_device_keys') }} as devices
        on told.device_key = devices.device_key
    where not coalesce(devices.is_shared, false)

),

linked as (

    select
        install_key,
        show_key,
        {{ exact_sum('is_linked * weight') }} / {{ exact_sum('weight') }} as linked_share
    from exposures
    group by install_key, show_key

),

of_installs as (

    select
        install_key,
        {{ exact_sum('linked_share') }} / count(linked_share) as linked_share
    from linked
    group by install_key

),

summed as (

    select
        count(*) as installs,
        {{ exact_sum('linked_share') }} / nullif(count(linked_share), 0) as linkability
    from of_installs

),

judged as (

    select
        installs,
        linkability,
        installs >= {{ least_installs() }} and linkability > 0 as is_told
    from summed

)

select
    case when is_told then linkability else {{ assumed_linkability() }} end as linkability,
    case when is_told then sqrt(linkability * (1 - linkability) / installs) end as se,
    case when is_told then 'app_devices' else 'assumed' end as source,
    installs
from judged
