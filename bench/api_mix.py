"""What callers of the API ask: the mix of endpoints, how popular shows are, and what an answer must say.

An owner's dashboard and its programmes: each request bears the key of the show's tenant. Shows are asked for
by Zipf's law over their ranks (POPULARITY), so most of them are asked for, the largest most often.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from random import Random
from typing import Any

import numpy as np

from bench.api_world import WORDS, World, show_id

POPULARITY = 0.8  # how often a show is asked for is as its rank to the power of minus so much
REVALIDATED = 0.2  # of all requests: what the client has, with If-None-Match
REMEMBERED = 64  # answers a client has

Body = dict[str, Any]
Told = Callable[[Body], int]  # a figure of an answer that the world knows


def _sum(body: Body) -> int:
    return sum(row["downloads"] for row in body["data"])


def _counted(body: Body) -> int:
    return sum(row["requests"] for row in body["data"] if row["reason"] == "download")


def _all(body: Body) -> int:
    return int(body["data"][0]["downloads_all"])


@dataclass(frozen=True)
class Endpoint:
    """One kind of request; `told`: what of the answer is compared with the world's downloads of the show."""

    name: str
    weight: float  # percent
    path: str
    told: Told | None = None
    is_figure: bool = True  # of a publication; else of registry and lake


_SHOW = "/v1/shows/{show}"
ENDPOINTS = (
    Endpoint("shows", 3, "/v1/shows?limit=50"),
    Endpoint("show", 4, _SHOW),
    Endpoint("headlines", 10, _SHOW + "/headlines", _all),
    Endpoint("downloads by day", 16, _SHOW + "/downloads?by=day", _sum),
    Endpoint("downloads by month", 6, _SHOW + "/downloads?by=month", _sum),
    Endpoint("downloads by hour, Berlin", 3, _SHOW + "/downloads?by=hour&time_zone=Europe/Berlin"),
    Endpoint("downloads by week and app", 3, _SHOW + "/downloads?by=week&dimension=app", _sum),
    Endpoint("apps", 8, _SHOW + "/audience?dimension=app", _sum),
    Endpoint("countries", 6, _SHOW + "/audience?dimension=country", _sum),
    Endpoint("listeners", 9, _SHOW + "/listeners?period=week"),
    Endpoint("pacing", 7, _SHOW + "/pacing?most=10"),
    Endpoint("episodes", 6, _SHOW + "/episodes?limit=100", _sum),
    Endpoint("top episodes", 5, _SHOW + "/top-episodes", _sum),
    Endpoint("exclusions", 3, _SHOW + "/exclusions", _counted),
    Endpoint("collaborations", 2, "/v1/collaborations?show_id={show}"),
    Endpoint("record", 6, "/v1/podcasts/{podcast}", None, False),
    Endpoint("search", 3, "/v1/search?q={word}&limit=20", None, False),
)
assert sum(one.weight for one in ENDPOINTS) == 100


@dataclass(frozen=True)
class Question:
    """A request: what is asked, of which show, as which tenant."""

    endpoint: Endpoint
    number: int
    path: bytes


class Mix:
    """An endless row of questions, the same for the same seed."""

    def __init__(self, world: World, seed: int) -> None:
        self._world, self._seed = world, seed
        weights = np.arange(1, world.shows + 1) ** -POPULARITY
        self._shows = np.cumsum(weights / weights.sum())
        self._endpoints = np.cumsum([one.weight / 100 for one in ENDPOINTS])
        self._rng = np.random.default_rng(seed)
        self._words = Random(seed)
        self._drawn: list[tuple[int, int]] = []

    def next(self) -> Question:
        if not self._drawn:
            chosen = np.searchsorted(self._endpoints, self._rng.random(4096), side="right")
            shows = np.searchsorted(self._shows, self._rng.random(4096), side="right")
            last = self._world.shows - 1
            self._drawn = [
                (min(int(e), len(ENDPOINTS) - 1), min(int(n), last))
                for e, n in zip(chosen, shows, strict=True)
            ]
        kind, number = self._drawn.pop()
        endpoint = ENDPOINTS[kind]
        path = endpoint.path
        if endpoint.name == "record":
            path = path.format(podcast=self._world.podcast_key(number))
        elif endpoint.name == "search":
            path = path.format(word=self._words.choice(WORDS))
        else:
            path = path.format(show=show_id(number))
        return Question(endpoint, number, path.encode())


def fault_of(world: World, question: Question, body: Body, version: int) -> str | None:
    """What is wrong with an answer of this version; None: nothing that the world knows of."""
    endpoint, number = question.endpoint, question.number
    if not endpoint.is_figure:
        if endpoint.name == "search":
            return None if body["data"] else "no hit"
        title = body["record"]["title"] if body["record"] else None
        return None if title == world.title(number) else "another record"
    if body["version"] != version:
        return "torn: body and header of two versions"
    if endpoint.told is not None:
        told = endpoint.told(body)
        first, last = (body.get(name) for name in ("from", "to"))
        if first is None or last is None:
            expected = world.downloads(number, version)
        else:
            expected = world.downloads(number, version, date.fromisoformat(first), date.fromisoformat(last))
        return None if told == expected else f"{endpoint.name}: not the truth"
    if endpoint.name == "show":
        return None if body["episodes"] == world.episodes(number) else "show: not the truth"
    if endpoint.name != "collaborations" and not body["data"]:
        return f"{endpoint.name}: no rows"
    return None
