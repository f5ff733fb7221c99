"""A seeded podcast world: real-looking log files, and the exact truth to compare the product's counts with.

`build` simulates the requests and counts them, `write` lays the log files into a landing folder. Nothing
here uses the product's code.
"""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cache
from ipaddress import IPv6Address, ip_address, ip_network
from pathlib import Path
from random import Random

import polars as pl
from isal import igzip

from earshot.made_up.world_agents import EXCLUDED_AGENTS
from earshot.made_up.world_damage import DAMAGES, damaged_line
from earshot.made_up.world_formats import (
    DIRECTIVES,
    SERVER_LOG_FORMATS,
    Request,
    Target,
    edge,
    file_name,
    source_name,
    writer,
)
from earshot.made_up.world_traffic import DAY, HOUR, Traffic, content_needed, make_people, make_shows

Progress = Callable[[int, int], None]  # lines done, lines in all

SERVER_LOG, PREFIX = "server_log", "prefix"
WINDOWS = ("calendar", "first_touch", "last_touch")
QUALIFYING = "qualifying"  # stands beside the exclusion reasons in `Truth.requests`
HEADER_SLACK = 700  # bytes by which CloudFront's sc-bytes may overstate an aborted body
CLEARANCE = 3_000  # bytes every window stays away from its threshold

Key = tuple[str, str, str]  # address cut by R20, agent, episode
Spans = list[tuple[int, int]]  # half-open byte ranges
CATALOG_COLUMNS = (
    "episode_id", "show_id", "enclosure_url", "file_bytes", "duration_s", "id3_bytes",
    "show_title", "episode_title", "published_at",
)  # fmt: skip
LATENESS_H = (7, 30, 72, 119)  # hours by which late files arrive; the last is just under five days


@dataclass(frozen=True)
class WorldSpec:
    """What to simulate. The same spec gives the same bytes.

    `lines` are those of the first server_log format and the prefix together, within 5 %.
    """

    seed: int = 7
    shows: int = 300
    days: int = 3
    lines: int = 500_000
    start: date = date(2026, 9, 1)
    formats: tuple[str, ...] = ("cloudfront",)  # each writes the whole server_log traffic
    prefix: bool = True
    damaged: bool = True
    redelivered: bool = True
    late_files: bool = True

    def __post_init__(self) -> None:
        unknown = set(self.formats) - set(SERVER_LOG_FORMATS)
        if unknown or not self.formats:
            raise ValueError(f"formats must be some of {SERVER_LOG_FORMATS}, got {self.formats}")
        if self.shows < 1 or self.days < 1 or self.lines < 1:
            raise ValueError("shows, days and lines must be at least 1")


@dataclass
class Truth:
    """What every count must be. Downloads and listeners hold only what is above zero."""

    downloads: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """(source_class, episode_id, window) -> downloads"""
    listeners_by_window: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """(source_class, episode_id, window) -> listeners over the whole period"""
    requests: dict[str, dict[str, int]] = field(default_factory=dict)
    """source_class -> exclusion reason (or `qualifying`) -> requests, each counted once"""
    show_of: dict[str, str | None] = field(default_factory=dict)
    """episode_id -> show_id; None: not in the catalogue, the episode_id is its canonical URL"""
    lines: dict[str, int] = field(default_factory=dict)
    """source -> data lines in its files: requests, damaged and redelivered lines, no directives"""
    rejects: dict[str, int] = field(default_factory=dict)
    """source -> damaged lines (never in a file that is delivered twice)"""
    redelivered: dict[str, int] = field(default_factory=dict)
    """source -> lines that repeat an earlier one: `redelivered_in_copies` and those in later files"""
    redelivered_in_copies: dict[str, int] = field(default_factory=dict)
    """source -> lines of the files that are copies, byte for byte, of an earlier file"""

    @property
    def listeners(self) -> dict[tuple[str, str], int]:
        """(source_class, episode_id) -> listeners with a download under the calendar window."""
        return {(c, e): n for (c, e, window), n in self.listeners_by_window.items() if window == "calendar"}

    def total(self, source_class: str, window: str) -> int:
        """All downloads of a class."""
        return sum(n for (c, _, w), n in self.downloads.items() if (c, w) == (source_class, window))


@dataclass
class LogFile:
    """What one file of the landing folder holds."""

    source: str
    log_format: str
    name: str
    arrival_ms: int  # the hour in its name; later than its requests in a late file
    requests: list[Request]
    repeats: list[Request] = field(default_factory=list)  # lines an earlier file has already brought
    damages: list[tuple[str, Request]] = field(default_factory=list)  # rejects: how, and made from what
    copy_of: str | None = None  # this file is that one, byte for byte, under another name

    @property
    def lines(self) -> int:
        return len(self.requests) + len(self.repeats) + len(self.damages)

    @property
    def rejects(self) -> int:
        return len(self.damages)

    @property
    def redelivered(self) -> int:
        return self.lines if self.copy_of else len(self.repeats)


@dataclass
class World:
    """The requests (each once, at the CDN and at the prefix), the files that will hold them, the truth."""

    spec: WorldSpec
    shows: list[list[Target]]
    cdn: list[Request]
    prefix: list[Request]
    files: list[LogFile]  # in order of arrival
    truth: Truth


def build(spec: WorldSpec, progress: Progress | None = None) -> World:
    """Simulates the world of `spec` and counts it."""
    rng = Random(spec.seed)
    shows = make_shows(rng, spec.shows, spec.start, spec.days)
    people = make_people(rng, max(20, spec.lines // 5))
    traffic = Traffic(rng, shows, spec.start, spec.days, spec.prefix)

    sources = 2 if spec.prefix else 1
    spare = sources * _number_of_damages(spec.lines // sources) if spec.damaged else 0
    spare += max(3 * sources, spec.lines * 27 // 1000) if spec.redelivered else 0
    report = (lambda done: progress(done, spec.lines)) if progress else None
    traffic.run(max(1, spec.lines - spare), people, report)

    cdn = _without_close_calls(traffic.cdn)
    truth = Truth()
    count(cdn, SERVER_LOG, truth)
    if spec.prefix:
        count(traffic.prefix, PREFIX, truth)

    files = [file for log_format in spec.formats for file in _lay_out(spec, log_format, cdn)]
    if spec.prefix:
        files += _lay_out(spec, "prefix", traffic.prefix)
    for file in files:
        copied = file.lines if file.copy_of else 0
        for totals, lines in (
            (truth.lines, file.lines),
            (truth.rejects, file.rejects),
            (truth.redelivered, file.redelivered),
            (truth.redelivered_in_copies, copied),
        ):
            totals[file.source] = totals.get(file.source, 0) + lines
    files.sort(key=lambda file: (file.arrival_ms, file.source, file.name))
    if progress:
        progress(spec.lines, spec.lines)
    return World(spec, shows, cdn, traffic.prefix, files, truth)


def write(world: World, landing: Path, progress: Progress | None = None) -> list[Path]:
    """Writes `landing/<source>/<file>.gz`; the paths are in order of arrival, which is also their mtime."""
    total, done, paths = sum(file.lines for file in world.files), 0, []
    for file in world.files:
        path = landing / file.source / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        if file.copy_of:
            path.write_bytes((path.parent / file.copy_of).read_bytes())
        else:
            path.write_bytes(igzip.compress(_content(world, file), 1, mtime=0))
        landed = file.arrival_ms // 1000 + 3_600
        os.utime(path, (landed, landed))
        paths.append(path)
        done += file.lines
        if progress:
            progress(done, total)
    return paths


def write_catalog(world: World, path: Path) -> None:
    """The catalogue as `episodes.csv`, one row an episode."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as out:
        table = csv.writer(out, lineterminator="\n")
        table.writerow(CATALOG_COLUMNS)
        for number, episodes in enumerate(world.shows, 1):
            for t in episodes:
                published = f"{datetime.fromtimestamp(t.published_ms // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
                sizes = (t.file_bytes, t.duration_s, t.id3_bytes)
                names = (f"Show {number}", t.title)
                table.writerow((t.episode_id, t.show_id, t.enclosure_url, *sizes, *names, published))


def write_truth(world: World, folder: Path) -> None:
    """`truth.json` (totals) and `downloads.parquet` (one row a source class, episode and window)."""
    truth = world.truth
    folder.mkdir(parents=True, exist_ok=True)
    totals = {
        "spec": {**world.spec.__dict__, "start": world.spec.start.isoformat()},
        "downloads": {
            source_class: {w: truth.total(source_class, w) for w in ("calendar", "first_touch", "last_touch")}
            for source_class in truth.requests
        },
        "requests": truth.requests,
        "lines": truth.lines,
        "rejects": truth.rejects,
        "redelivered": truth.redelivered,
        "redelivered_in_copies": truth.redelivered_in_copies,
        "files": [
            {
                "source": file.source, "name": file.name, "lines": file.lines, "rejects": file.rejects,
                "redelivered": file.redelivered, "copy_of": file.copy_of,
            }
            for file in world.files
        ],
    }  # fmt: skip
    (folder / "truth.json").write_text(json.dumps(totals, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    rows = [
        (source_class, truth.show_of[episode], episode, window, downloads, truth.listeners_by_window[key])
        for key, downloads in sorted(truth.downloads.items())
        for source_class, episode, window in (key,)
    ]
    schema: dict[str, type[pl.DataType]] = {
        "source_class": pl.String,
        "show_id": pl.String,
        "episode_id": pl.String,
        "window": pl.String,
        "downloads": pl.Int64,
        "listeners": pl.Int64,
    }
    pl.DataFrame(rows, schema=schema, orient="row").write_parquet(folder / "downloads.parquet")


def _number_of_damages(requests: int) -> int:
    return max(len(DAMAGES), requests // 1000) if requests > 20 * len(DAMAGES) else requests // 20


def _without_close_calls(requests: list[Request]) -> list[Request]:
    """Takes out listeners whose bytes came too near a threshold, where CloudFront's header bytes decide."""
    qualifying = (request for request in requests if exclusion(request, SERVER_LOG) == QUALIFYING)
    close = {r.serial for group in by_key(qualifying).values() if is_close_call(group) for r in group}
    return [request for request in requests if request.serial not in close]


def _lay_out(spec: WorldSpec, log_format: str, requests: list[Request]) -> list[LogFile]:
    """The requests as hourly files, with late, repeated, copied and damaged lines as the spec asks."""
    if not requests:
        return []
    source = source_name(log_format)
    rng = Random(f"{spec.seed}/{source}")

    def new_file(arrival_ms: int, held: list[Request], copy_of: str | None = None) -> LogFile:
        tag = f"{rng.getrandbits(32):08x}"
        return LogFile(
            source, log_format, file_name(log_format, arrival_ms, tag), arrival_ms, held, copy_of=copy_of
        )

    hours: dict[int, list[Request]] = {}
    for request in requests:
        hours.setdefault((request.start_ms + request.dur_ms) // HOUR * HOUR, []).append(request)
    late = _take_late(hours, rng) if spec.late_files else []
    files = [new_file(hour, held) for hour, held in sorted(hours.items()) if held]
    for file in files:  # CloudFront's lines come by edge, the others in order of their end
        file.requests.sort(
            key=lambda r: (edge(r) if source == "cdn" else "", r.start_ms + r.dur_ms, r.serial)
        )

    copied = _pick_copied(files, rng) if spec.redelivered else set()
    if spec.redelivered:
        for _ in range(max(3, len(requests) // 400)):
            earlier, later = sorted(rng.choices(range(len(files)), k=2))
            if earlier < later:
                files[later].repeats.append(rng.choice(files[earlier].requests))
    if spec.damaged:
        sound = [n for n in range(len(files)) if n not in copied]
        for n in range(_number_of_damages(len(requests))):
            file = files[rng.choice(sound)]
            model = rng.choice(file.requests)._replace(serial=10**9 + n)
            file.damages.append((DAMAGES[n % len(DAMAGES)], model))
    copies = []
    for n in sorted(copied):
        again = new_file(files[n].arrival_ms + rng.randrange(1, 6) * HOUR, files[n].requests, files[n].name)
        again.repeats = files[n].repeats
        copies.append(again)
    return files + copies + [new_file(arrival, held) for arrival, held in late]


def _pick_copied(files: list[LogFile], rng: Random) -> set[int]:
    """Which files come twice: about 2 % of all lines, at least one file, never all."""
    room = max(sum(file.lines for file in files) // 50, min(file.lines for file in files))
    copied: set[int] = set()
    for n in rng.sample(range(len(files)), len(files) - 1):
        if files[n].lines <= room:
            copied.add(n)
            room -= files[n].lines
    return copied


def _take_late(hours: dict[int, list[Request]], rng: Random) -> list[tuple[int, list[Request]]]:
    """Moves some requests of some hours out of `hours`: (hour of arrival, requests)."""
    late = []
    for lateness in LATENESS_H:
        hour = rng.choice(sorted(hours))
        held = hours[hour]
        if len(held) > 1:
            taken = {r.serial for r in rng.sample(held, max(1, len(held) // 20))}
            late.append((hour + lateness * HOUR, [r for r in held if r.serial in taken]))
            hours[hour] = [r for r in held if r.serial not in taken]
    return late


def _content(world: World, file: LogFile) -> bytes:
    """The file's text: directives, then its lines with the damaged ones strewn in."""
    rng = Random(f"{world.spec.seed}/{file.source}/{file.name}")
    line_of = writer(file.log_format, world.spec.seed)
    lines = [line_of(request).encode() for request in file.requests + file.repeats]
    for damage, model in file.damages:
        spoilt = damaged_line(file.log_format, damage, line_of(model), rng)
        lines.insert(rng.randint(0, len(lines)), spoilt)
    directives = [text.encode() for text in DIRECTIVES.get(file.log_format, ())]
    return b"\n".join([*directives, *lines]) + b"\n"


# The truth: plain loops, obviously right rather than fast. Rule numbers are those of the methodology.


def exclusion(request: Request, source_class: str) -> str:
    """The first reason for which the request by itself does not count, else `qualifying`."""
    if request.method != "GET":
        return "method"
    if request.status not in ((200, 206) if source_class == SERVER_LOG else (301, 302, 307)):
        return "status"
    if not request.target.is_media:
        return "not_media"
    if source_class == SERVER_LOG and request.status == 206 and (request.first, request.body) == (0, 2):
        return "probe"
    if request.agent in EXCLUDED_AGENTS:
        return EXCLUDED_AGENTS[request.agent]
    if request.start_ms < request.target.published_ms:
        return "before_publication"
    return QUALIFYING


@cache
def address_cut(ip: str) -> str:
    """IPv4 whole, also when mapped into IPv6; IPv6 to its first 64 bits (R20)."""
    address = ip_address(ip)
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ip_network((address, 64), strict=False))
    return str(address)


def by_key(requests: Iterable[Request]) -> dict[Key, list[Request]]:
    """Requests of one listener for one episode, each list in order of time (R17)."""
    groups: dict[Key, list[Request]] = {}
    for request in requests:
        key = (address_cut(request.ip), request.agent, request.target.episode_id)
        groups.setdefault(key, []).append(request)
    for group in groups.values():
        group.sort(key=lambda request: request.start_ms)
    return groups


def windows(group: list[Request], window: str) -> list[list[Request]]:
    """`group`, in order of time, cut into windows (R22, R23, R24). Rolling windows are half-open."""
    cut: list[list[Request]] = []
    for request in group:
        if not cut:
            cut.append([request])
            continue
        now, first, last = request.start_ms, cut[-1][0].start_ms, cut[-1][-1].start_ms
        if window == "calendar":
            is_new = now // DAY != first // DAY
        elif window == "first_touch":
            is_new = now >= first + DAY
        else:
            is_new = now >= last + DAY
        if is_new:
            cut.append([request])
        else:
            cut[-1].append(request)
    return cut


def united(spans: Spans) -> Spans:
    """The union of byte ranges as ranges that neither overlap nor touch, in order."""
    union: Spans = []
    for first, end in sorted(spans):
        if union and first <= union[-1][1]:
            union[-1] = (union[-1][0], max(union[-1][1], end))
        elif end > first:
            union.append((first, end))
    return union


def content_bytes(requests: list[Request], target: Target, slack: int = 0) -> int:
    """Distinct bytes of content served, the ID3 header left out. `slack` lengthens aborted responses."""
    spans = []
    for request in requests:
        first = max(request.first, 0)
        promised_end = request.last + 1 if request.status == 206 else target.file_bytes
        spans.append((first, min(first + request.body + slack, promised_end)))
    return sum(max(0, end - max(first, target.id3_bytes)) for first, end in united(spans))


def is_download(window: list[Request], source_class: str) -> bool:
    """R13 and R14; a prefix sees no bytes, so there every window counts."""
    target = window[0].target
    return source_class == PREFIX or content_bytes(window, target) >= content_needed(target)


def is_close_call(group: list[Request]) -> bool:
    """Whether a log with header bytes in it could decide some window differently from the truth."""
    target = group[0].target
    needed = content_needed(target)
    for kind in WINDOWS:
        for window in windows(group, kind):
            low, high = content_bytes(window, target), content_bytes(window, target, HEADER_SLACK)
            is_whole = low == high == target.file_bytes - target.id3_bytes
            if not is_whole and high > needed - CLEARANCE and low < needed + CLEARANCE:
                return True
    return False


def count(requests: list[Request], source_class: str, truth: Truth) -> None:
    """Adds the counts of one source class to `truth`."""
    reasons = Counter(exclusion(request, source_class) for request in requests)
    truth.requests[source_class] = dict(reasons)
    qualifying = [request for request in requests if exclusion(request, source_class) == QUALIFYING]
    downloads: Counter[tuple[str, str, str]] = Counter()
    listeners: Counter[tuple[str, str, str]] = Counter()
    for (_, _, episode), group in by_key(qualifying).items():
        truth.show_of[episode] = group[0].target.show_id
        for kind in WINDOWS:
            counted = sum(is_download(window, source_class) for window in windows(group, kind))
            if counted:
                downloads[source_class, episode, kind] += counted
                listeners[source_class, episode, kind] += 1  # the key is one listener of this episode
    truth.downloads.update(downloads)
    truth.listeners_by_window.update(listeners)
