"""By which address and which agent the simulated people reach the log, and so how well keys follow them.

A phone is at home, at work or on the carrier's network; a second device stays at home. Homes keep their
address, or get a new one every few weeks or days. A carrier's addresses serve hundreds at once; offices and
VPN exits have one for all. An agent's version changes as its app rolls out, its family (app and system)
never.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

Array = npt.NDArray[Any]

_HOUR = 3_600_000
_DAY = 24 * _HOUR
VERSIONS = 40  # of an app, at most

_APPLE = "AppleCoreMedia/1.0.0.21G{{v}} ({}; U; CPU OS 17_4 like Mac OS X; en_us)"
# weight, days between releases, app, system, the agent of version {v}
PHONES = (
    (30, 35, "Apple Podcasts", "iOS", _APPLE.format("iPhone")),
    (15, 14, "Spotify", "Android", "Spotify/8.9.{v} Android/34 (SM-G991B)"),
    (13, 14, "Spotify", "iOS", "Spotify/8.9.{v} iOS/17.4 (iPhone15,3)"),
    (7, 45, "Overcast", "iOS", "Overcast/3.{v} (+http://overcast.fm/; iOS podcast app)"),
    (6, 30, "Pocket Casts", "Android", "Shifty Jelly Pocket Casts, Android v7.{v}"),
    (5, 21, "CastBox", "Android", "CastBox/11.4.{v} (Linux;Android 14)"),
    (4, 40, "AntennaPod", "Android", "AntennaPod/3.4.{v}"),
    (4, 25, "Podcast Addict", "Android", "PodcastAddict/v{v} (+https://podcastaddict.com/; Android app)"),
    (3, 60, "Castro", "iOS", "Castro 2024.4/{v}"),
    (3, 21, "iHeartRadio", "iOS", "iHeartRadio/10.{v}.0 (iOS 17.4; iPhone14,5)"),
    (2, 30, "Downcast", "iOS", "Downcast/2.11.{v} (iOS; 17.4)"),
)
_WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64"
SECONDS = (
    (8, 28, "Chrome", "Windows", _WINDOWS + ") AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/{v}.0.0.0 Safari/537.36"),
    (4, 28, "Firefox", "Windows", _WINDOWS + "; rv:{v}.0) Gecko/20100101 Firefox/{v}.0"),
    (6, 45, "Alexa", "Fire OS", "AlexaMediaPlayer/2.1.{v}.0 (Linux;Android 7.1.2) ExoPlayerLib/1.5.9"),
    (4, 60, "Sonos", "Linux", "Linux UPnP/1.0 Sonos/78.1-{v}50 (ZPS4)"),
    (5, 35, "Apple Podcasts", "iPadOS", _APPLE.format("iPad")),
)  # fmt: skip
_FAMILIES = (*PHONES, *SECONDS)
_RELEASE_DAYS = np.array([family[1] for family in _FAMILIES])

AGENTS = pl.DataFrame(
    [
        (number * VERSIONS + version, number, app, system, text.format(v=version + 90))
        for number, (_, _, app, system, text) in enumerate(_FAMILIES)
        for version in range(VERSIONS)
    ],
    schema={
        "agent": pl.Int16,
        "family": pl.Int16,
        "app": pl.String,
        "os": pl.String,
        "text": pl.String,
    },
    orient="row",
)


@dataclass(frozen=True)
class Network:
    """How addresses behave. Shares are of households or people."""

    static_homes: float = 0.62
    slow_homes: float = 0.28  # a new address every 30 to 150 days
    slow_days: tuple[float, float] = (30.0, 150.0)
    fast_days: tuple[float, float] = (1.0, 9.0)  # of the other homes
    second_device: float = 0.35  # people with one
    on_second: float = 0.2  # of their downloads
    on_the_move: float = 0.2  # of a phone's downloads, on average
    people_a_carrier_address: int = 300
    at_work: float = 0.25  # people whose employer's network is used on workdays
    people_an_office: float = 12.0  # mean; small ones look like homes
    vpn: float = 0.03  # people who are always behind one
    people_a_vpn_exit: int = 100


@dataclass(frozen=True)
class Devices:
    """People's devices and places; arrays by person, and by device where named so."""

    household: Array
    period: Array  # by household: milliseconds between new addresses; 0: never
    shift: Array  # by household: when in its period the world begins
    family: Array  # by device; the phone of person p is device p, the second of p device people + p
    lag: Array  # by device: how long after its release an update is installed
    has_second: Array
    moves: Array  # share of the phone's downloads on the carrier's network
    office: Array  # -1: none
    has_vpn: Array


def devices(network: Network, household: Array, rng: np.random.Generator) -> Devices:
    """Who has what. `household`: each person's, numbered from 0."""
    people, homes = len(household), int(household.max()) + 1
    luck = rng.random(homes)
    slow, fast = rng.uniform(*network.slow_days, homes), rng.uniform(*network.fast_days, homes)
    period = np.where(luck < network.static_homes + network.slow_homes, slow, fast)
    period = np.where(luck < network.static_homes, 0, period * _DAY).astype(np.int64)
    offices = max(1, round(people * network.at_work / network.people_an_office))
    size = rng.lognormal(0.0, 1.0, offices)
    office = rng.choice(offices, people, p=size / size.sum())
    return Devices(
        household=household,
        period=period,
        shift=(rng.random(homes) * np.maximum(period, 1)).astype(np.int64),
        family=np.concatenate([_drawn(PHONES, people, rng), len(PHONES) + _drawn(SECONDS, people, rng)]),
        lag=(rng.exponential(6.0, 2 * people) * _DAY).astype(np.int64),
        has_second=rng.random(people) < network.second_device,
        moves=rng.beta(1.2, 1.2 * (1 / network.on_the_move - 1), people),
        office=np.where(rng.random(people) < network.at_work, office, -1),
        has_vpn=rng.random(people) < network.vpn,
    )


def _drawn(families: tuple[tuple[Any, ...], ...], size: int, rng: np.random.Generator) -> Array:
    weights = np.array([family[0] for family in families], float)
    return rng.choice(len(families), size, p=weights / weights.sum())


def seen_as(
    network: Network, who: Devices, person: Array, at: Array, is_automatic: Array, rng: np.random.Generator
) -> dict[str, Array]:
    """person, device, address_key, agent, family of downloads by `person` at `at` (ms since the start).

    Apps that download by themselves do so on the phone and seldom on the move.
    """
    people, size = len(who.household), len(person)
    automatic = is_automatic[person]
    second = who.has_second[person] & (rng.random(size) < network.on_second) & ~automatic
    device = np.where(second, people + person, person)

    home = who.household[person].astype(np.int64)
    period = who.period[home]
    turn = np.where(period > 0, (at + who.shift[home]) // np.maximum(period, 1), 0)
    key = _mixed(1, home, turn)

    day, hour = at // _DAY, at % _DAY // _HOUR
    is_worktime = (day % 7 < 5) & (hour >= 9) & (hour < 17)
    at_work = is_worktime & (who.office[person] >= 0) & ~second & (rng.random(size) < 0.8)
    key = np.where(at_work, _mixed(2, who.office[person], np.zeros_like(day)), key)

    chance = who.moves[person] * np.where(automatic, 0.25, 1.0)
    moving = ~second & ~at_work & (rng.random(size) < chance)
    exits = max(2, people // network.people_a_carrier_address)
    key = np.where(moving, _mixed(3, _mixed(4, person, day) % exits, np.zeros_like(day)), key)

    tunnels = max(1, round(people * network.vpn / network.people_a_vpn_exit))
    tunnel = _mixed(5, _mixed(6, person, day // 7) % tunnels, np.zeros_like(day))
    key = np.where(who.has_vpn[person], tunnel, key)

    family = who.family[device]
    # The first release falls on another day for each family; devices follow it with their own delay.
    since = at + family * 3 * _DAY + 60 * _DAY - who.lag[device]
    version = np.clip(since // (_RELEASE_DAYS[family] * _DAY), 0, VERSIONS - 1)
    return {
        "person": person,
        "device": device,
        "address_key": key,
        "agent": family * VERSIONS + version,
        "family": family,
    }


def _mixed(kind: int, number: Array, turn: Array) -> Array:
    """A 63-bit key of a place and its turn (splitmix64)."""
    with np.errstate(over="ignore"):
        z = (np.uint64(kind) << np.uint64(58)) ^ (number.astype(np.uint64) << np.uint64(20))
        z = z ^ turn.astype(np.uint64)
        z = z + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return ((z ^ (z >> np.uint64(31))) >> np.uint64(1)).astype(np.int64)
