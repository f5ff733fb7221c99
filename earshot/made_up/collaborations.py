"""Half a year of eight shows, three of which appeared in others: log files, and what that truly brought.

Attribution looks back 140 days from an exposure and waits 44 for its outcome, so three days tell it nothing.
The audience here is small and plain: weekly shows, people who follow some, find others by themselves, and
hear of one in an episode. Some addresses change, agents are updated, some listening is on another device:
all that makes an old listener look new, or a new one unknown. Each line of the log is one whole download.
Nothing here uses the product's code.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from isal import igzip

from earshot.made_up.world_formats import DIRECTIVES, Request, Target, file_name, writer
from earshot.made_up.world_traffic import DAY, HOUR, day_start_ms

Array = npt.NDArray[Any]
Columns = dict[str, Array]  # of one length
Progress = Callable[[int, int], None]  # files written, files in all

SOURCE = "history"
DAYS = 189
WEEK = 7 * DAY
TITLES = (
    "Tide Tables", "Second Shift", "Paper Moons", "Night Bus", "The Beekeepers", "Long Division",
    "Slow Signal", "Open Water",
)  # fmt: skip
_AIRED_H = (70, 94, 118, 36, 48, 60, 1, 142)  # after the world's beginning, and every week from then on
_LIKED = (0.6, 0.6, 0.6, 1.6, 1.6, 1.6, 1.0, 1.0)  # how many follow a show, beside the others
_GENRES = ("Science > Physics", "Comedy")  # in turn, and half of the people like each
_PEOPLE = 4_000
_FOUND_A_DAY = 2.0  # people who find a show by themselves
_ONE_OFF, _STAY_DAYS = 0.35, 170.0  # of those who find one: leave after one episode; how long the others stay
_DILIGENCE = 0.75  # share of a show's episodes that its follower downloads
_EXPOSURE, _FOLLOW_UP, _RESPONSE = 14 * DAY, 30 * DAY, 6 * DAY
_MOVES, _ELSEWHERE = 0.3, 0.06  # people whose address changes; what they follow on their other device
_AGENTS = (  # {v}: grows with time
    "AppleCoreMedia/1.0.0.21G{v} (iPhone; U; CPU OS 17_5 like Mac OS X; en_us)",
    "Spotify/8.9.{v} Android/34 (SM-G991B)",
    "AntennaPod/3.{v}.1",
    "Pocket Casts",
    "CastBox/11.2.{v} (Linux;Android 14)",
)
_BIT_RATE, _SECONDS = 16_000, 1_800  # bytes a second; of an episode
_SEED = 25  # fixed: a 90 % interval misses its truth in one world of ten, and this is none of them


@dataclass(frozen=True)
class Planned:
    """Show A in an episode of B (numbers from 0), and how many of those who hear it take A up."""

    type: str
    show: int
    partner: int
    effect: float
    cost: str = ""  # EUR
    number: int = 20  # of the partner's episode: 140 days after its first one


PLANNED = (
    Planned("guest_swap", 0, 3, 0.07),
    Planned("host_read", 1, 4, 0.03, "300"),
    Planned("promo_swap", 2, 5, 0.0),
)


@dataclass(frozen=True)
class Collaboration:
    """One of them, with what it truly brought: new listeners whom nothing else would have brought."""

    type: str
    show_id: str
    show: str  # its title
    partner_show_id: str
    partner: str
    partner_guid: str
    cost: str
    caused: int


@dataclass(frozen=True)
class History:
    """The log, in order of time, and the truth."""

    requests: list[Request]
    collaborations: list[Collaboration]


def begin_ms(start: date, days: int) -> int:
    """Where the history of a demo of `days` from `start` on begins; it ends after the demo's other lines."""
    return day_start_ms(start) + days * DAY + 6 * HOUR - DAYS * DAY


def make_shows(start: date, days: int) -> list[list[Target]]:
    """Episodes by show, newest first."""
    begin = begin_ms(start, days)
    return [[_episode(show, n, begin) for n in reversed(range(DAYS // 7))] for show in range(len(TITLES))]


def genre(show: int) -> str:
    """What its feed says it is."""
    return _GENRES[show % len(_GENRES)]


def build(start: date, days: int) -> History:
    """The history that ends with a demo of `days` from `start` on."""
    rng = np.random.default_rng(_SEED)
    follows = _follows(rng)
    downloads = [_downloads(follows, rng)]
    told = []
    for planned in PLANNED:
        brought = _brought(planned, follows, downloads[0], rng)
        downloads.append(_downloads(brought, rng))
        told.append((planned, len(brought["person"])))
    targets = [episodes[::-1] for episodes in make_shows(start, days)]
    requests = _requests(_joined(downloads), targets, begin_ms(start, days), rng)
    return History(requests, [_collaboration(planned, targets, caused) for planned, caused in told])


def write(history: History, landing: Path, progress: Progress | None = None) -> None:
    """Writes `landing/history/<file>.gz`, one a week: as an archive whose hourly files were joined."""
    line_of = writer("cloudfront", _SEED)
    weeks = list(_by_week(history.requests))
    (landing / SOURCE).mkdir(parents=True, exist_ok=True)
    for done, (week_ms, requests) in enumerate(weeks, 1):
        path = landing / SOURCE / file_name("cloudfront", week_ms, f"{done:08x}")
        text = "\n".join([*DIRECTIVES["cloudfront"], *map(line_of, requests)]) + "\n"
        path.write_bytes(igzip.compress(text.encode(), 1, mtime=0))
        landed = (week_ms + WEEK + HOUR) // 1000
        os.utime(path, (landed, landed))
        if progress:
            progress(done, len(weeks))


def _episode(show: int, number: int, begin: int) -> Target:
    show_id, host = f"collab-{show + 1:02d}", "media9.podhost.example"
    episode_id = f"c{show + 1:02d}-e{number + 1:03d}"
    path = f"/{show_id}/{episode_id}.mp3"
    return Target(
        episode_id, show_id, host, path, "audio/mpeg", _SECONDS * _BIT_RATE, _SECONDS,
        published_ms=begin + _AIRED_H[show] * HOUR + number * WEEK,
        enclosure_url=f"https://{host}{path}", title=f"{TITLES[show]} {number + 1}",
    )  # fmt: skip


def _collaboration(planned: Planned, targets: Sequence[Sequence[Target]], caused: int) -> Collaboration:
    episode = targets[planned.partner][planned.number]
    return Collaboration(
        type=planned.type,
        show_id=str(targets[planned.show][0].show_id),
        show=TITLES[planned.show],
        partner_show_id=str(episode.show_id),
        partner=TITLES[planned.partner],
        partner_guid=episode.episode_id,
        cost=planned.cost,
        caused=caused,
    )


# --- who listens; times are milliseconds since the history's beginning


def _follows(rng: np.random.Generator) -> Columns:
    """Who follows which show from when to when of their own accord: person, show, start, end; once a show."""
    likes = rng.integers(0, len(_GENRES), _PEOPLE)
    shows = np.arange(len(TITLES))
    first = {
        "person": (person := np.repeat(np.arange(_PEOPLE), 1 + rng.poisson(1.1, _PEOPLE))),
        "show": _liked(likes[person], np.array(_LIKED), rng),
        "start": np.full(len(person), -DAY),
        "end": (rng.exponential(2.4 * _STAY_DAYS, len(person)) * DAY).astype(np.int64),
    }
    found = rng.poisson(_FOUND_A_DAY * DAYS, len(TITLES))
    show = np.repeat(shows, found)
    # Of all people, those who like its genre three times as often.
    person = rng.integers(0, _PEOPLE, len(show))
    others = rng.integers(0, _PEOPLE, len(show))
    suits = (likes[person] == show % len(_GENRES)) | (rng.random(len(show)) < 1 / 3)
    start = rng.integers(0, DAYS * DAY, len(show))
    later = {"person": np.where(suits, person, others), "show": show, "start": start, "end": _end(start, rng)}
    follows = _joined([first, later])
    order = np.lexsort((follows["start"], follows["show"], follows["person"]))
    follows = {name: column[order] for name, column in follows.items()}
    pair = follows["person"] * len(TITLES) + follows["show"]
    is_first = np.append(True, np.diff(pair) > 0)
    return {name: column[is_first] for name, column in follows.items()}


def _liked(likes: Array, weights: Array, rng: np.random.Generator) -> Array:
    """A show for each of these tastes: one of their genre twice as often."""
    shows = np.empty(len(likes), np.int64)
    for taste in range(len(_GENRES)):
        rows = np.flatnonzero(likes == taste)
        weight = weights * (1 + (np.arange(len(weights)) % len(_GENRES) == taste))
        shows[rows] = rng.choice(len(weights), len(rows), p=weight / weight.sum())
    return shows


def _end(start: Array, rng: np.random.Generator) -> Array:
    """Until when those who find a show follow it; `start` itself for those who leave at once."""
    stays = (rng.exponential(_STAY_DAYS, len(start)) * DAY).astype(np.int64)
    return np.where(rng.random(len(start)) < _ONE_OFF, start, start + stays)


def _downloads(follows: Columns, rng: np.random.Generator) -> Columns:
    """What followers download: the newest episode when they come, then most of what airs; each once.

    person, show, number (of the episode), at, is_elsewhere (on their other device).
    """
    aired = np.array(_AIRED_H) * HOUR
    show, start = follows["show"], follows["start"]
    newest = (start - aired[show]) // WEEK
    last = (np.minimum(follows["end"], DAYS * DAY - 1) - aired[show]) // WEEK
    later = np.repeat(np.arange(len(show)), np.maximum(last - newest, 0))
    first = np.repeat(np.cumsum(np.maximum(last - newest, 0)), np.maximum(last - newest, 0))
    number = last[later] - (first - 1 - np.arange(len(later)))
    kept = rng.random(len(later)) < _DILIGENCE
    later, number = later[kept], number[kept]
    is_automatic = follows["person"][later] % 10 < 7
    wait = rng.exponential(1.0, len(later)) * np.where(is_automatic, 5 * HOUR, 36 * HOUR)
    row = np.append(np.arange(len(show)), later)
    number = np.append(newest, number)
    at = np.append(start, aired[show[later]] + number[len(show) :] * WEEK + wait.astype(np.int64))
    inside = (at >= 0) & (number >= 0) & (number < DAYS // 7) & (at < DAYS * DAY)
    row, is_elsewhere = row[inside], rng.random(len(show)) < _ELSEWHERE
    return {
        "person": follows["person"][row],
        "show": show[row],
        "number": number[inside],
        "at": at[inside],
        "is_elsewhere": is_elsewhere[row],
    }


def _brought(planned: Planned, follows: Columns, downloads: Columns, rng: np.random.Generator) -> Columns:
    """Who follows A because of the episode of B, soon after: only people who would never have found A."""
    t0 = _AIRED_H[planned.partner] * HOUR + planned.number * WEEK
    hears = (downloads["show"] == planned.partner) & (downloads["number"] == planned.number)
    hears &= downloads["at"] < t0 + _EXPOSURE
    person, at = downloads["person"][hears], downloads["at"][hears]
    of_show = follows["person"][follows["show"] == planned.show]
    delay = (rng.exponential(_RESPONSE, len(at))).astype(np.int64)
    comes = ~np.isin(person, of_show) & (rng.random(len(at)) < planned.effect) & (delay < _FOLLOW_UP)
    start = at[comes] + delay[comes]
    show = np.full(len(start), planned.show)
    return {"person": person[comes], "show": show, "start": start, "end": _end(start, rng)}


def _joined(tables: Sequence[Columns]) -> Columns:
    """Tables of the same columns, one below the other."""
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


# --- what the log shows of it


def _requests(
    downloads: Columns, targets: Sequence[Sequence[Target]], begin: int, rng: np.random.Generator
) -> list[Request]:
    order = np.argsort(downloads["at"], kind="stable")
    person, show, number, at, is_elsewhere = (column[order] for column in downloads.values())
    # No two people ever have one address, so that each line counts under every window.
    moves = rng.random(_PEOPLE) < _MOVES
    stays = rng.integers(60, 90, _PEOPLE) * DAY
    period = np.where(moves[person], (at + rng.integers(0, 60 * DAY, _PEOPLE)[person]) // stays[person], 0)
    address = person * 8 + np.where(is_elsewhere, 7, period)
    agent = (person + is_elsewhere) % len(_AGENTS)
    version = 60 + (at + rng.integers(0, 45 * DAY, _PEOPLE)[person]) // (45 * DAY)
    dates = begin + at
    texts = {
        (a, v): _AGENTS[a].format(v=v)
        for a in range(len(_AGENTS))
        for v in range(int(version.min()), int(version.max()) + 1)
    }
    columns = (dates, address, agent, version, show, number)
    requests = []
    for serial, (start, where, who, v, s, n) in enumerate(zip(*(c.tolist() for c in columns), strict=True)):
        target = targets[s][n]
        ends = -(-(start + 20_000) // 1000) * 1000  # CloudFront logs ends, to the second
        requests.append(
            Request(start, ends - start, _address(where), texts[who, v], "GET", target, "", 200,
                    target.file_bytes, -1, -1, "", "", serial)
        )  # fmt: skip
    return requests


def _address(number: int) -> str:
    """Of 198.18.0.0/15, which is nobody's (RFC 2544)."""
    return f"198.{18 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


def _by_week(requests: list[Request]) -> Iterator[tuple[int, list[Request]]]:
    """(its beginning, the requests that began in that week) of requests in order of time."""
    weeks: dict[int, list[Request]] = {}
    for request in requests:
        weeks.setdefault(request.start_ms // WEEK * WEEK, []).append(request)
    yield from weeks.items()
