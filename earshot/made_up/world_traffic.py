"""The simulated shows and people, and every request these make at the CDN and at the measuring prefix.

A request starts at a millisecond and, on the CDN, ends on a whole second, so that `start = end − duration`
comes out the same to the millisecond in every log format.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from itertools import accumulate, cycle
from random import Random
from typing import NamedTuple

from earshot.made_up.world_agents import APPS, BOT_LIBRARIES, BOTS, BROWSERS, KEPT_LIBRARIES, SYSTEMS, WATCHES
from earshot.made_up.world_formats import Request, Target

HOUR = 3_600_000  # milliseconds
DAY = 24 * HOUR
MARGIN = 8_000  # bytes by which a listener stays clear of a threshold (CloudFront logs headers as bytes)
UNKNOWN_CONTENT = 960_000  # one minute at 128 kbit/s, for an enclosure nobody described (R13)
REFERRERS = (
    "",
    "https://podcasts.apple.com/",
    "https://www.google.com/",
    "https://show1.example/episodes?p=2",
)
# Residential ranges, so that no list of data centres knows them: first octet, second octet from, to.
_V4 = (
    (84, 128, 191),
    (91, 0, 63),
    (86, 128, 191),
    (90, 0, 127),
    (73, 0, 255),
    (71, 160, 190),
    (58, 160, 175),
)
_V6 = ("2003:e1", "2601:241", "2a02:8108", "2a01:cb05", "2804:14d", "2405:201")
_ODDITIES = ("", "short", "bare", "early")  # under a minute; path without extension; published in the period
CHAINS = (  # prefixes of others, as they stand before the host
    "www.podtrac.com/pts/redirect.mp3/",
    "dts.podtrac.com/redirect.mp3/",
    "chrt.fm/track/ABC123/",
    "pdst.fm/e/",
    "mgln.ai/e/77/",
)
_RHYTHM = (2, 1, 1, 1, 2, 4, 8, 11, 11, 9, 8, 8, 9, 8, 8, 9, 10, 11, 10, 8, 7, 6, 5, 3)  # hours of a day
_WEEK = (1.0, 1.0, 1.05, 1.0, 0.95, 0.75, 0.7)
_KINDS = {  # behaviour: how often
    "full": 22, "full_as_range": 6, "chain": 18, "overlap": 5, "gaps": 5, "short_listen": 9,
    "aborted_late": 5, "aborted_early": 7, "aborted_range": 3, "probe_then_chain": 9, "probe_only": 2,
    "retry": 3, "again_same_day": 3, "again_next_days": 3, "exactly_a_day": 0.4, "guideline": 0.3,
    "midnight": 1,
    "slow": 0.8, "resume": 2, "head": 2, "refused": 3, "asset": 4, "bot": 5, "bot_library": 3, "no_agent": 1,
    "watch": 2, "library": 2, "short_episode": 2, "uncatalogued": 1.5, "too_early": 1, "bare_path": 1.5,
    "method": 0.3, "prefix_noise": 0.5,
}  # fmt: skip


class Person(NamedTuple):
    """Who asks: the addresses (one person may have several), the agent, bytes per ms, the referrer."""

    ips: tuple[str, ...]
    agent: str
    rate: float
    referrer: str


def content_needed(target: Target) -> int:
    """Bytes of content, ID3 left out, that make a download (R13, R14)."""
    if target.show_id is None:
        return UNKNOWN_CONTENT
    content = target.file_bytes - target.id3_bytes
    return content if target.duration_s < 60 else -(-60 * content // target.duration_s)


def day_start_ms(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000


def pick_weighted(rng: Random, cumulative: Sequence[float]) -> int:
    return bisect(cumulative, rng.random() * cumulative[-1], 0, len(cumulative) - 1)


def make_people(rng: Random, number: int) -> list[Person]:
    """A pool of listeners; about a third share their address with others (some of these the agent too)."""
    apps, browsers = (list(accumulate(w for w, _ in group)) for group in (APPS, BROWSERS))
    people: list[Person] = []
    ips: tuple[str, ...] = ()
    shared = 0
    for _ in range(number):
        same_agent = False
        if shared:
            shared -= 1
            same_agent = rng.random() < 0.3
        elif rng.random() < 0.35:
            net = f"{rng.choice(_V6)}:{rng.randrange(1, 65536):x}:{rng.randrange(1, 65536):x}"
            tails = (
                ":".join(f"{rng.randrange(1, 65536):x}" for _ in range(4)) for _ in range(rng.randrange(1, 4))
            )
            ips = (*(f"{net}:{tail}" for tail in tails), f"{net}::{rng.randrange(1, 255):x}")
            shared = rng.choice((0, 0, 0, 1, 2))
        else:
            a, low, high = rng.choice(_V4)
            whole = f"{a}.{rng.randint(low, high)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"
            ips = (whole, "::ffff:" + whole) if rng.random() < 0.05 else (whole,)
            shared = rng.choice((0, 0, 0, 0, 0, 1, 1, 3, 8))
        if same_agent:
            people.append(people[-1]._replace(ips=ips))
            continue
        browser = rng.random() < 0.15
        group, weights = (BROWSERS, browsers) if browser else (APPS, apps)
        agent = group[pick_weighted(rng, weights)][1].format(
            s=rng.choice(SYSTEMS), n=rng.randrange(90, 140), m=rng.randrange(10), b=rng.randrange(600, 640),
            l=rng.choice(("en_us", "de_de", "fr_fr", "pt_br")),
        )  # fmt: skip
        people.append(Person(ips, agent, 150 * 40 ** rng.random(), rng.choice(REFERRERS) if browser else ""))
    return people


def make_shows(rng: Random, shows: int, start: date, days: int) -> list[list[Target]]:
    """Episodes by show, newest first. The first show has an episode of each oddity."""
    begin = day_start_ms(start)
    world = []
    for s in range(shows):
        show_id, host = f"show-{s + 1:05d}", f"media{s % 5}.podhost.example"
        bit_rate = rng.choice((8_000, 12_000, 16_000, 16_000, 24_000))  # bytes a second
        id3 = rng.choice((0, 2_048, 45_000, 310_000))
        chain, tracking = rng.choice(CHAINS) if s % 10 == 1 else "", "?utm_source=rss" if s % 10 == 2 else ""
        episodes = []
        for e in range(4 + int(40 * rng.random() ** 3)):
            episode_id = f"s{s + 1:05d}-e{e + 1:04d}"
            odd = rng.choices(_ODDITIES, (94, 3, 2, 1))[0] if s or e > 3 else _ODDITIES[e]
            seconds = (
                rng.randrange(20, 56) if odd == "short" else rng.randrange(240, 600 + rng.randrange(6000))
            )
            extension = "m4a" if s % 7 == 3 else "mp3"
            path = f"/{show_id}/{rng.getrandbits(32):08x}/{episode_id}.{extension}"
            if odd == "bare":
                path = f"/episodes/{episode_id}/download"
            published = begin - (7 * e + rng.randrange(1, 7)) * DAY - rng.randrange(DAY // 60_000) * 60_000
            if odd == "early":
                published = begin + days * DAY // 2 + rng.randrange(60) * 60_000
            episodes.append(
                Target(
                    episode_id, show_id, host, path, "audio/x-m4a" if extension == "m4a" else "audio/mpeg",
                    seconds * bit_rate + id3 + rng.randrange(2_000), seconds, id3, published,
                    has_prefix=s % 2 == 0, enclosure_url=f"https://{chain}{host}{path}{tracking}",
                    title=f"Episode {e + 1}",
                )
            )  # fmt: skip
        world.append(episodes)
    return world


class Traffic:
    """Runs the simulation: `cdn` and `prefix` fill with requests until there are `total` of both together."""

    def __init__(self, rng: Random, shows: list[list[Target]], start: date, days: int, prefix: bool) -> None:
        self.rng, self.with_prefix = rng, prefix
        self.begin = day_start_ms(start)
        self.end = self.begin + days * DAY
        self.cdn: list[Request] = []
        self.prefix: list[Request] = []
        self._serial = 0
        self._every = False  # this session resolves the prefix with every request, not once a visit
        self._fresh = True  # nothing resolved yet in this visit
        self._query = ""
        self._refusals = cycle((404, 0, 304, 403, 416, 500, 404, 0, 304, 301))
        self._form: tuple[str, str, bool] = ("", "", False)
        self._hours = list(
            accumulate(_WEEK[(start.weekday() + d) % 7] * weight for d in range(days) for weight in _RHYTHM)
        )
        self._pools = {}
        for name in ("plain", "prefixed", "short", "bare", "early"):
            weighted = [
                (1 / ((s + 1) ** 0.9 * (e + 1) ** 1.1), target)
                for s, episodes in enumerate(shows)
                for e, target in enumerate(episodes)
                if self._belongs(target, name)
            ]
            if weighted:
                self._pools[name] = (list(accumulate(w for w, _ in weighted)), [t for _, t in weighted])
        self.assets = [
            Target("", None, host, path, kind, size, is_media=False)
            for n in range(min(5, len(shows)))
            for host in (f"media{n}.podhost.example",)
            for path, kind, size in (
                (f"/show-{n + 1:05d}/cover.jpg", "image/jpeg", 380_000),
                (f"/show-{n + 1:05d}/cover.png", "image/png", 510_000),
                (f"/show-{n + 1:05d}/feed.xml", "application/rss+xml", 91_000),
                ("/robots.txt", "text/plain", 120),
            )
        ]
        self.front = Target("", None, "prefix.example", "/", "text/html", 900, is_media=False)
        self.strange = []
        for n in range(12):
            host, path = f"media{n % 5}.podhost.example", f"/private/{n:02d}-{rng.getrandbits(32):08x}.mp3"
            size = rng.randrange(6_000_000, 60_000_000)
            url = f"https://{host}{path}"
            self.strange.append(Target(url, None, host, path, "audio/mpeg", size, has_prefix=n % 3 == 0))

    def _belongs(self, target: Target, pool: str) -> bool:
        if target.published_ms > self.begin:
            return pool == "early"
        if target.duration_s < 60:
            return pool == "short"
        if target.path.endswith("/download"):
            return pool == "bare"
        return pool == ("prefixed" if target.has_prefix else "plain")

    def run(self, total: int, people: list[Person], progress: Callable[[int], None] | None = None) -> None:
        rng, names = self.rng, list(_KINDS)
        cumulative = list(accumulate(_KINDS.values()))
        opening, reported = list(reversed(names)), 0  # every behaviour once, then by weight
        while (done := len(self.cdn) + len(self.prefix)) < total:
            if progress and done - reported >= 20_000:
                reported = done
                progress(done)
            kind = opening.pop() if opening else names[pick_weighted(rng, cumulative)]
            behind = self.with_prefix and len(self.prefix) * 3 < len(self.cdn)
            self._every = rng.random() < 0.5
            chain = rng.choice(CHAINS) if rng.random() < 0.15 else ""
            self._form = (rng.choice(("", "https://", "https%3A%2F%2F")), chain, rng.random() < 0.02)
            self._query = self._tracking() if rng.random() < 0.15 else ""
            who = people[int(len(people) * rng.random() ** 1.6)]
            target = self._episode("prefixed" if behind else "plain")
            self._fresh = True
            getattr(self, "_" + kind)(who, target, self._moment())
        del self.cdn[max(0, total - len(self.prefix)) :]

    # choices

    def _moment(self) -> int:
        hour = pick_weighted(self.rng, self._hours)
        return self.begin + hour * HOUR + 1_000 + int(self.rng.random() * (HOUR - 1_000))

    def _episode(self, pool: str) -> Target:
        cumulative, targets = self._pools.get(pool) or next(iter(self._pools.values()))
        return targets[pick_weighted(self.rng, cumulative)]

    def _tracking(self) -> str:
        token = f"{self.rng.getrandbits(40):x}"
        return self.rng.choice(
            (f"_={token}", f"aw_0_1st.x={token}", "utm_source=rss", f"utm_source=mail&_={token}")
        )

    def _below(self, target: Target) -> int:
        """A number of bytes from the file's start that is clearly no download."""
        return target.id3_bytes + int((content_needed(target) - MARGIN) * self.rng.uniform(0.1, 0.95))

    def _above(self, target: Target) -> int:
        """A number of bytes from the file's start that clearly is one."""
        low = target.id3_bytes + content_needed(target) + MARGIN
        return target.file_bytes if low >= target.file_bytes else self.rng.randint(low, target.file_bytes)

    # requests

    def _ask(
        self, who: Person, target: Target, at: int, status: int, body: int,
        first: int = -1, last: int = -1, asked: str = "", method: str = "GET", least_ms: int = 40,
    ) -> None:  # fmt: skip
        """One request at the CDN, and its forerunner at the prefix if this session passes one."""
        if not self.begin <= at < self.end:
            return
        ip = who.ips[0] if len(who.ips) == 1 else self.rng.choice(who.ips)
        ready = at + max(least_ms, int(body / who.rate))
        self._serial += 1
        self.cdn.append(
            Request(at, -(-ready // 1000) * 1000 - at, ip, who.agent, method, target, self._query, status,
                    body, first, last, asked, who.referrer, self._serial)
        )  # fmt: skip
        if target.has_prefix and (self._fresh or self._every):
            self._fresh = False
            self._redirect(who, ip, target, at - 20 - self._serial % 60, method, asked, 302)

    def _redirect(
        self,
        who: Person,
        ip: str,
        target: Target,
        at: int,
        method: str,
        asked: str,
        status: int,
        uri: str = "",
    ) -> None:
        if at < self.begin or not self.with_prefix:
            return
        scheme, chain, loud = self._form
        host = target.host.title() if loud else target.host
        uri = uri or f"/e/{scheme}{chain}{host}{target.path}" + (f"?{self._query}" if self._query else "")
        self._serial += 1
        body = 138 if method == "GET" else 0
        self.prefix.append(
            Request(at, 1 + self._serial % 9, ip, who.agent, method, target, uri, status, body, -1, -1, asked,
                    who.referrer, self._serial)
        )  # fmt: skip

    def _range(self, who: Person, t: Target, at: int, first: int, last: int, sent: int | None = None) -> None:
        body = last - first + 1
        self._ask(who, t, at, 206, body if sent is None else sent, first, last, f"bytes={first}-{last}")

    def _probe(self, who: Person, t: Target, at: int) -> None:
        self._range(who, t, at, 0, 1)

    def _spread(
        self, who: Person, t: Target, at: int, size: int, overlap: int = 0, pause: int = 90_000
    ) -> None:
        """Bytes 0 … size-1 in two to seven ranges, one after another."""
        pieces = self.rng.randrange(2, 8)
        step = size // pieces
        for n in range(pieces):
            first = max(0, n * step - overlap)
            self._range(who, t, at, first, size - 1 if n == pieces - 1 else (n + 1) * step - 1)
            at += 500 + int(self.rng.random() * pause)

    # behaviours: one session each

    def _full(self, who: Person, t: Target, at: int) -> None:
        self._ask(who, t, at, 200, t.file_bytes)

    def _full_as_range(self, who: Person, t: Target, at: int) -> None:
        self._ask(who, t, at, 206, t.file_bytes, 0, t.file_bytes - 1, "bytes=0-")

    def _chain(self, who: Person, t: Target, at: int) -> None:
        self._spread(who, t, at, self._above(t))

    def _overlap(self, who: Person, t: Target, at: int) -> None:
        enough = self.rng.random() < 0.5
        self._spread(who, t, at, self._above(t) if enough else self._below(t), self.rng.randrange(200_000))

    def _gaps(self, who: Person, t: Target, at: int) -> None:
        first = t.id3_bytes + self.rng.randrange(1000)
        for _ in range(self.rng.randrange(2, 5)):
            last = min(t.file_bytes - 1, first + self.rng.randrange(60_000, 700_000))
            self._range(who, t, at, first, last)
            first, at = last + 1 + self.rng.randrange(1, 300_000), at + 2_000
            if first >= t.file_bytes - 70_000:
                break

    def _short_listen(self, who: Person, t: Target, at: int) -> None:
        self._spread(who, t, at, self._below(t))

    def _aborted_late(self, who: Person, t: Target, at: int) -> None:
        self._ask(who, t, at, 200, self._above(t))

    def _aborted_early(self, who: Person, t: Target, at: int) -> None:
        self._ask(who, t, at, 200, self._below(t))

    def _aborted_range(self, who: Person, t: Target, at: int) -> None:
        sent = self._below(t)
        self._ask(who, t, at, 206, sent, 0, t.file_bytes - 1, "bytes=0-")
        if self.rng.random() < 0.5:
            self._range(who, t, at + 60_000, sent, t.file_bytes - 1)

    def _probe_then_chain(self, who: Person, t: Target, at: int) -> None:
        self._probe(who, t, at)
        self._chain(who, t, at + 700)

    def _probe_only(self, who: Person, t: Target, at: int) -> None:
        self._probe(who, t, at)

    def _retry(self, who: Person, t: Target, at: int) -> None:
        self._aborted_early(who, t, at)
        self._full(who, t, at + self.rng.randrange(2_000, 400_000))

    def _visits(self, who: Person, t: Target, times: list[int]) -> None:
        for at in times:
            self._fresh = True
            self._full(who, t, at) if self.rng.random() < 0.6 else self._chain(who, t, at)

    def _again_same_day(self, who: Person, t: Target, at: int) -> None:
        gap = self.rng.randrange(HOUR // 10, 3 * HOUR)
        self._visits(who, t, [at + n * gap for n in range(self.rng.randrange(2, 5))])

    def _again_next_days(self, who: Person, t: Target, at: int) -> None:
        gaps = [self.rng.choice((14, 22, 23, 25, 30)) * HOUR + self.rng.randrange(HOUR) for _ in range(3)]
        self._visits(who, t, list(accumulate(gaps, initial=at - self.rng.choice((0, 1)) * DAY)))

    def _exactly_a_day(self, who: Person, t: Target, at: int) -> None:
        at -= DAY if at + DAY >= self.end else 0
        self._visits(who, t, [at, at + DAY - self.rng.choice((0, 0, 1))])

    def _guideline(self, who: Person, t: Target, at: int) -> None:
        monday = at - at % DAY
        self._visits(who, t, [monday + minutes * 60_000 for minutes in (1320, 1620, 2775, 4275)])

    def _midnight(self, who: Person, t: Target, at: int) -> None:
        """Half a minute's bytes before midnight and as many after: nothing by calendar, one rolling."""
        midnight, half = at - at % DAY + DAY, int(content_needed(t) * 0.7)
        self._range(who, t, midnight - self.rng.randrange(1_000, 900_000), t.id3_bytes, t.id3_bytes + half)
        if t.id3_bytes + 2 * half < t.file_bytes:
            self._fresh = True
            self._range(
                who, t, midnight + self.rng.randrange(900_000), t.id3_bytes + half, t.id3_bytes + 2 * half
            )

    def _slow(self, who: Person, t: Target, at: int) -> None:
        at += DAY - at % DAY - self.rng.randrange(60_000, 2_000_000)
        self._ask(who, t, at, 200, t.file_bytes, least_ms=self.rng.randrange(2_000_000, 6_000_000))

    def _resume(self, who: Person, t: Target, at: int) -> None:
        middle = self._below(t)
        self._range(who, t, at, 0, middle - 1)
        self._fresh = True
        self._range(who, t, at + self.rng.randrange(HOUR, 8 * HOUR), middle, t.file_bytes - 1)

    def _head(self, who: Person, t: Target, at: int) -> None:
        self._ask(who, t, at, 200, 0, method="HEAD")
        if self.rng.random() < 0.4:
            self._full(who, t, at + 900)

    def _refused(self, who: Person, t: Target, at: int) -> None:
        for status in (next(self._refusals), next(self._refusals)):
            asked = f"bytes={t.file_bytes}-" if status == 416 else ""
            self._ask(who, t, at, status, 0 if status in (0, 304) else 243, asked=asked)
            at += 1_500
        if self.rng.random() < 0.3:
            self._full(who, t, at + 3_000)

    def _asset(self, who: Person, t: Target, at: int) -> None:
        asset = self.rng.choice(self.assets)
        if self.rng.random() < 0.3:
            who = who._replace(agent=self.rng.choice(BOTS), referrer="")
        self._ask(who, asset, at, 200, asset.file_bytes)

    def _as(self, who: Person, agent: str, t: Target, at: int) -> None:
        behaviour = self.rng.choice(
            (self._full, self._full, self._chain, self._aborted_early, self._probe_only)
        )
        behaviour(who._replace(agent=agent, referrer=""), t, at)

    def _bot(self, who: Person, t: Target, at: int) -> None:
        self._as(who, self.rng.choice(BOTS), t, at)

    def _bot_library(self, who: Person, t: Target, at: int) -> None:
        self._as(who, self.rng.choice(BOT_LIBRARIES), t, at)

    def _no_agent(self, who: Person, t: Target, at: int) -> None:
        self._as(who, "", t, at)

    def _library(self, who: Person, t: Target, at: int) -> None:
        self._as(who, self.rng.choice(KEPT_LIBRARIES), t, at)

    def _watch(self, who: Person, t: Target, at: int) -> None:
        self._full(who, t, at)
        self._fresh = True
        self._full(who._replace(agent=self.rng.choice(WATCHES)), t, at + self.rng.randrange(400, 9_000))

    def _short_episode(self, who: Person, t: Target, at: int) -> None:
        self.rng.choice((self._full, self._chain, self._aborted_early))(who, self._episode("short"), at)

    def _bare_path(self, who: Person, t: Target, at: int) -> None:
        self.rng.choice((self._full, self._chain, self._short_listen))(who, self._episode("bare"), at)

    def _uncatalogued(self, who: Person, t: Target, at: int) -> None:
        self.rng.choice((self._full, self._chain, self._short_listen))(who, self.rng.choice(self.strange), at)

    def _too_early(self, who: Person, t: Target, at: int) -> None:
        """An episode published in the middle of the period, asked for on both sides of that moment."""
        episode = self._episode("early")
        at = self.begin + (at - self.begin) // 2
        self._full(who, episode, at)
        self._fresh = True
        self._full(who, episode, max(at, episode.published_ms) + self.rng.randrange(HOUR))

    def _method(self, who: Person, t: Target, at: int) -> None:
        self._ask(who, t, at, self.rng.choice((403, 200)), 120, method=self.rng.choice(("POST", "OPTIONS")))

    def _prefix_noise(self, who: Person, t: Target, at: int) -> None:
        """What only a prefix sees: its own pages, addresses it does not serve, pictures through it."""
        ip = who.ips[0]
        self._redirect(who, ip, self.rng.choice(self.assets[:3]), at, "GET", "", 302)
        self._redirect(who, ip, self.front, at + 500, "GET", "", 404, uri="/favicon.ico")
        self._redirect(
            who, ip, self._episode("prefixed"), at + 900, "GET", "", self.rng.choice((301, 307, 400))
        )
