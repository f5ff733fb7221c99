"""A seeded world of podcast feeds: what each address answers at each instant, and what truly happened.

`build(spec)` writes the scripts of all podcasts; `FeedWorld.answer` is a pure function of an address and a
simulated instant. `earshot.made_up.feeds.truth` says which changes follow from the times of the polls.
Nothing here uses the product's code. Instants: epoch microseconds, UTC.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from hashlib import blake2b

from earshot.made_up.feeds.casting import cast
from earshot.made_up.feeds.content import DAY, MINUTE, Feed
from earshot.made_up.feeds.script import Podcast, Spell, Version
from earshot.made_up.feeds.xml import render, rfc822

STALE_SLOT = 5 * MINUTE  # in a spell `stale` or `flapping`, an instant's slot decides who answers
_HTML = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body><p>Hi.</p></body></html>\n"
_STATUS = {"server_error": 500, "busy": 503, "not_found": 404, "gone": 410}
_REDIRECTS = {"moved": 301, "elsewhere": 302, "stranger": 301}


@dataclass(frozen=True)
class FeedWorldSpec:
    """What to simulate. The same spec gives the same bytes."""

    seed: int = 7
    podcasts: int = 60
    days: int = 10
    start: date = date(2026, 9, 1)
    hosts: int = 12  # names the feeds are spread over

    def __post_init__(self) -> None:
        if self.podcasts < 1 or self.days < 1 or self.hosts < 1:
            raise ValueError("podcasts, days and hosts must be at least 1")

    @property
    def start_us(self) -> int:
        return (
            int(datetime(self.start.year, self.start.month, self.start.day, tzinfo=UTC).timestamp()) * 10**6
        )

    @property
    def end_us(self) -> int:
        return self.start_us + self.days * DAY


@dataclass(frozen=True)
class Answer:
    """What comes over the wire, before validators and compression are considered.

    `manner`: whole; cut_off (the connection ends inside the body); silent (nothing ever comes); endless (the
    body never ends).
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    manner: str = "whole"

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


@dataclass(frozen=True)
class Seen:
    """What a client that follows redirects learns at an instant: a feed, or why there is none."""

    feed: Feed | None
    failure: str | None = None  # the spell's `how`
    redirect: str | None = None  # of _REDIRECTS: the feed came from the second address


class FeedWorld:
    """Podcasts by number, and what their addresses answer."""

    def __init__(self, podcasts: Iterable[Podcast], start_us: int, end_us: int) -> None:
        self.podcasts = tuple(podcasts)
        self.start_us, self.end_us = start_us, end_us
        self._starts = [[version.at_us for version in podcast.versions] for podcast in self.podcasts]
        self._places = {
            without_scheme(url): (podcast.number, place)
            for podcast in self.podcasts
            for place, url in enumerate(podcast.urls)
        }
        self._rendered: Callable[[int, int, int, int], bytes] = lru_cache(2_000)(self._render)

    @property
    def hosts(self) -> frozenset[str]:
        return frozenset(address.partition("/")[0] for address in self._places)

    def place(self, host: str, path: str) -> tuple[int, int] | None:
        """(podcast, which of its addresses) of a request; None: nobody's."""
        return self._places.get(host + path)

    def version(self, number: int, at_us: int) -> Version:
        """The newest version at an instant; before the first one, the first."""
        return self.podcasts[number].versions[max(0, bisect_right(self._starts[number], at_us) - 1)]

    def seen(self, number: int, at_us: int, place: int = 0) -> Seen:
        """What is to be learnt by asking one of the podcast's addresses and following its redirects."""
        podcast, spell = self.podcasts[number], self._spell(number, at_us)
        if place:
            is_stranger = any(s.how == "stranger" and s.from_us <= at_us for s in podcast.spells)
            return Seen(podcast.stranger if is_stranger else self.version(number, at_us).feed)
        if spell is None:
            return Seen(self.version(number, at_us).feed)
        if spell.how in _REDIRECTS:
            return Seen(self.seen(number, at_us, place=1).feed, redirect=spell.how)
        if spell.how in ("stale", "flapping"):
            return Seen(self._alternating(number, at_us, spell).feed)
        return Seen(None, failure=spell.how)

    def answer(self, number: int, at_us: int, place: int = 0) -> Answer:
        """The HTTP answer of one of the podcast's addresses, a pure function of the instant."""
        podcast, spell = self.podcasts[number], self._spell(number, at_us)
        how = spell.how if spell is not None and place == 0 else ""
        if how in _REDIRECTS:
            return Answer(_REDIRECTS[how], (("Location", podcast.urls[1]), ("Content-Length", "0")))
        if how in _STATUS:
            wait = (("Retry-After", "1800"),) if how == "busy" else ()
            return Answer(_STATUS[how], (("Content-Type", "text/plain"), *wait), f"{how}\n".encode())
        if how == "html_page":
            return Answer(200, (("Content-Type", "text/html; charset=utf-8"),), _HTML)
        if how == "silent":
            return Answer(200, manner="silent")
        if place and (feed := self.seen(number, at_us, place).feed) is podcast.stranger and feed is not None:
            body = render(feed, podcast.style, podcast.urls[1], self.start_us, self.start_us)
            return Answer(200, self._headers(podcast, body, self.start_us), body)
        version = self.version(number, at_us)
        if how in ("stale", "flapping") and spell is not None:
            version = self._alternating(number, at_us, spell)
        body = self.body(number, version, at_us, place)
        headers = self._headers(podcast, body, version.at_us)
        if how == "truncated":
            body = body[: len(body) * 2 // 3]
            return Answer(200, self._headers(podcast, body, at_us), body)
        return Answer(200, headers, body, how if how in ("cut_off", "endless") else "whole")

    def body(self, number: int, version: Version, at_us: int, place: int = 0) -> bytes:
        """The document of a version."""
        style = self.podcasts[number].style
        moves = style.tokens == "fetch" or style.build_date == "fetch"
        return self._rendered(number, place, version.at_us, at_us if moves else 0)

    def _render(self, number: int, place: int, version_us: int, at_us: int) -> bytes:
        podcast = self.podcasts[number]
        version = self.version(number, version_us)
        since = max(version.at_us, self.start_us)
        return render(version.feed, podcast.style, podcast.urls[place], since, at_us)

    def _headers(self, podcast: Podcast, body: bytes, modified_us: int) -> tuple[tuple[str, str], ...]:
        digest = blake2b(body, digest_size=9).hexdigest()
        etag = {"etag": f'"{digest}"', "weak": f'W/"{digest}"', "bare": digest}.get(podcast.validators)
        modified = rfc822(max(modified_us, self.start_us), "GMT")
        found = [("Content-Type", "application/rss+xml")]
        if etag:
            found.append(("ETag", etag))
        if podcast.validators != "none":
            found.append(("Last-Modified", modified))
        if podcast.max_age_s is not None:
            found.append(("Cache-Control", f"public, max-age={podcast.max_age_s}"))
        return tuple(found)

    def _spell(self, number: int, at_us: int) -> Spell | None:
        spells = self.podcasts[number].spells
        return next((s for s in reversed(spells) if s.from_us <= at_us < s.to_us), None)

    def _alternating(self, number: int, at_us: int, spell: Spell) -> Version:
        """The present version, or the one from before the spell: by a hash of the instant's slot."""
        slot = blake2b(f"{number} {at_us // STALE_SLOT}".encode(), digest_size=1).digest()[0]
        return self.version(number, at_us if slot & 1 else spell.from_us - 1)


def build(spec: FeedWorldSpec) -> FeedWorld:
    """Writes the scripts of all podcasts of a world."""
    podcasts = [
        cast(spec.seed, number, spec.hosts, spec.start_us, spec.end_us) for number in range(spec.podcasts)
    ]
    return FeedWorld(podcasts, spec.start_us, spec.end_us)


def without_scheme(url: str) -> str:
    return url.partition("://")[2]
