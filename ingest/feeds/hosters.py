"""How fast a host may be asked: the pace of any host, and the large hosters' own, with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Pace:
    """Requests a second on average, and how many at a time."""

    per_s: float
    connections: int

    def __post_init__(self) -> None:
        if not (self.per_s > 0 and self.connections >= 1):
            raise ValueError(f"no pace: {self}")


ANY_HOST = Pace(2, 4)  # UPDATES §4

# At 2 requests a second a host answers 7,200 feeds an hour. These serve tens or hundreds of thousands each,
# from caches built for podcast apps that ask for every feed every few minutes; they could not be kept current
# otherwise. Our grades, by how many feeds each is known for, not the hosters' word: a 429 pauses them like
# anyone else. A domain stands for all hosts below it, which share one pace (Libsyn, Podbean and Spreaker give
# each show a host name of its own; behind it is one service).
_HUGE, _LARGE, _MEDIUM = Pace(40, 16), Pace(20, 8), Pace(8, 4)
HOSTERS: Mapping[str, Pace] = MappingProxyType(
    {
        "anchor.fm": _HUGE,  # Spotify for Creators
        "buzzsprout.com": _LARGE,
        "libsyn.com": _LARGE,
        "megaphone.fm": _LARGE,
        "podbean.com": _LARGE,
        "soundcloud.com": _LARGE,
        "spreaker.com": _LARGE,
        "acast.com": _MEDIUM,
        "art19.com": _MEDIUM,
        "audioboom.com": _MEDIUM,
        "blubrry.com": _MEDIUM,
        "captivate.fm": _MEDIUM,
        "castos.com": _MEDIUM,
        "fireside.fm": _MEDIUM,
        "ivoox.com": _MEDIUM,
        "omny.fm": _MEDIUM,
        "omnycontent.com": _MEDIUM,
        "redcircle.com": _MEDIUM,
        "rss.com": _MEDIUM,
        "simplecast.com": _MEDIUM,
        "transistor.fm": _MEDIUM,
        "feedburner.com": _MEDIUM,  # no hoster, but in front of many
        "feedpress.me": _MEDIUM,
    }
)

# Second levels under which anyone registers: example.co.uk is a domain, co.uk is none.
_SHARED_LEVELS = frozenset({"ac", "co", "com", "edu", "gov", "net", "or", "org", "ne", "gob", "gv", "nom"})


def listed_domain(host: str, table: Mapping[str, Pace]) -> str | None:
    """The domain of the table that `host` is or lies below; None: it has no entry."""
    while host:
        if host in table:
            return host
        host = host.partition(".")[2]
    return None


def registrable_domain(host: str) -> str:
    """The domain somebody registered that `host` is part of, by rule of thumb; an address is its own.

    Without the public suffix list: the last two labels, or three below a country's shared second level.
    """
    labels = host.split(".")
    if ":" in host or len(labels) < 3 or labels[-1].isdigit():
        return host
    is_shared = len(labels[-1]) == 2 and labels[-2] in _SHARED_LEVELS
    return ".".join(labels[-3 if is_shared else -2 :])
