"""Whether a list may be used: it is whole, its patterns are safe, it says of its examples what it means.

A fault is refused for good; what may be meant (few entries, an example in the wrong place) is refused until
the operator accepts that list by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from ingest.logs.agents import (
    OPAWG_LISTS,
    TYPES,
    AgentRules,
    classify_referrers,
)
from ingest.logs.known_agents import KnownAgents
from ingest.logs.ranges import ReferenceListError
from ingest.reference.lists import AGENTS, Files, ListSpec, Parsed
from ingest.reference.patterns import refuse_unusable

# Real players of every kind. A list that calls one of them a bot would make its listeners disappear.
WELL_KNOWN = {
    "Apple Podcasts": "Podcasts/1430.46 CFNetwork/1410.0.3 Darwin/22.6.0",
    "Apple's player": "AppleCoreMedia/1.0.0.21E236 (iPhone; U; CPU OS 17_4_1 like Mac OS X; en_us)",
    "Overcast": "Overcast/3.0 (+http://overcast.fm/; iOS podcast app)",
    "Spotify on Android": "Spotify/8.9.18 Android/34 (Pixel 8)",
    "Spotify on iOS": "Spotify/8.9.10 iOS/17.4 (iPhone15,2)",
    "AntennaPod": "AntennaPod/3.4.0",
    "Pocket Casts": "Pocket Casts",
    "Podcast Addict": "PodcastAddict/v5 (+https://podcastaddict.com/; Android podcast app)",
    "Castro": "Castro 2023.5/1512",
    "Castbox": "CastBox/11.5.2-240312271 (Linux;Android 14) ExoPlayerLib/2.10.4",
    "Downcast": "Downcast/2.9.68 (build 1; iPhone; iOS 17.4)",
    "Podbean": "Podbean/iOS (http://podbean.com) 7.2.1",
    "Player FM": "Player FM",
    "Amazon Music": "AmazonMusic/24.3.0 iPhone15,2 CFNetwork/1410.1 Darwin/22.6.0",
    "iTunes": "iTunes/12.13.1 (Windows; Microsoft Windows 10 x64)",
    "Sonos": "Linux UPnP/1.0 Sonos/79.1-53290 (ZPS27)",
    "Firefox": "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:123.0) Gecko/20100101 Firefox/123.0",
    "Safari": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.3 Safari/605.1.15",
}
_BOTS = ("bot", "bot_library")
_SHOWN = 5


class Doubtful(ReferenceListError):
    """A list that is refused unless the operator accepts it."""


@dataclass(frozen=True)
class Judged:
    """A list that may be used, and what the operator accepted."""

    parsed: Parsed
    doubts: list[str]


def judge(
    spec: ListSpec, files: Files, in_use: Mapping[str, int] | None = None, accepted: bool = False
) -> Judged:
    """Read and check a list; `in_use`: entries by part of the one it would replace.

    Raises ReferenceListError, or Doubtful unless `accepted`; the message names part, entry and reason.
    """
    for name, body in files.items():
        if not body.strip() and not spec.is_own:
            raise ReferenceListError(f"{name} is empty")
    parsed = spec.read(files)
    empty = [part for part, entries in parsed.counts.items() if not entries]
    if empty and not spec.is_own:
        raise ReferenceListError(f"{empty[0]}: there are no entries")
    doubts = list(_shrunk(parsed.counts, in_use or {})) if not spec.is_own else []
    if spec.name == AGENTS:
        refuse_unusable(
            [
                (f"{part}: the pattern of {entry.name!r}", entry.pattern)
                for part in OPAWG_LISTS
                for entry in parsed.rules.lists.get(part, ())
            ]
        )
        _refuse_lost_apps(parsed.rules)
        doubts += _contradictions(parsed.rules)
    if doubts and not accepted:
        more = f"; and {len(doubts) - _SHOWN} more" if len(doubts) > _SHOWN else ""
        advice = f"If that is meant: `earshot lists refresh --accept {spec.name}`"
        raise Doubtful(f"{'; '.join(doubts[:_SHOWN])}{more}. {advice}")
    return Judged(parsed, doubts)


def _shrunk(counts: Mapping[str, int], in_use: Mapping[str, int]) -> Iterator[str]:
    for part, before in in_use.items():
        if part in counts and counts[part] * 2 <= before:
            yield f"{part} shrinks from {before:,} to {counts[part]:,} entries"


def _refuse_lost_apps(rules: AgentRules) -> None:
    """No well-known app, nor an example of an app in the list itself, may be a bot."""
    apps = [(entry.name, example) for entry in rules.lists["apps"] for example in entry.examples]
    for name, agent, type_, by in _classified([*WELL_KNOWN.items(), *apps], rules):
        if type_ in _BOTS:
            raise ReferenceListError(f"the app {name!r} is classified as a {type_} (as {by!r}): {agent!r}")


def _contradictions(rules: AgentRules) -> Iterator[str]:
    """Examples that are not classified as their list says."""
    for part, type_ in TYPES.items():
        entries = {example: entry for entry in rules.lists[part] for example in entry.examples}
        named = [(entry.name, example) for example, entry in entries.items()]
        for name, agent, found, by in _classified(named, rules):
            is_bot_library = part == "libraries" and entries[agent].category == "bot"
            if (found, by) != ("bot_library" if is_bot_library else type_, name):
                yield f"{part}: an example of {name!r} is classified as {found} {by!r}: {agent!r}"
    devices = [(entry.name, example) for entry in rules.lists["devices"] for example in entry.examples]
    known = KnownAgents(rules).of(pl.Series([example for _, example in devices], dtype=pl.String))
    device_of = dict(known.select("as_logged", "device").iter_rows())
    for name, agent in devices:
        # A list may show the agent of a bot as an example of a device: bots have none.
        if device_of[agent] != name:
            yield f"devices: an example of {name!r} is classified as {device_of[agent]!r}: {agent!r}"
    referrers = [(entry.name, example) for entry in rules.lists["referrers"] for example in entry.examples]
    found_apps = classify_referrers(pl.Series([example for _, example in referrers], dtype=pl.String), rules)
    app_of = dict(found_apps.select("referrer", "referrer_app").iter_rows())
    for name, referrer in referrers:
        if app_of[referrer] != name:
            yield f"referrers: an example of {name!r} is classified as {app_of[referrer]!r}: {referrer!r}"


def _classified(
    named: list[tuple[str, str]], rules: AgentRules
) -> Iterator[tuple[str, str, str, str | None]]:
    """(name, agent) → name, agent, type found, entry found; as intake does it, repair and all."""
    known = KnownAgents(rules).of(pl.Series([agent for _, agent in named], dtype=pl.String))
    found = {row[0]: row[1:] for row in known.select("as_logged", "agent_type", "app").iter_rows()}
    for name, agent in named:
        yield name, agent, *found[agent]
