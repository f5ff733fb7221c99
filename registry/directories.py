"""One pass over the directories that are on: what they saw change, and what they say of tracked podcasts.

Order: hints into the registry, ids reconciled, cursors remembered. A crash between has the same read again,
which changes nothing. A source that fails keeps its cursor, says why, and holds up no other.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import httpx
from sqlalchemy import Engine

from ingest.feeds.sources import apple, change_file, podcastindex
from ingest.feeds.sources.apple import Apple
from ingest.feeds.sources.budget import Budget, Limits
from ingest.feeds.sources.calls import Calls, SourceUnavailable, client
from ingest.feeds.sources.change_file import ChangeFile, Cursor
from ingest.feeds.sources.podcastindex import PodcastIndex
from ingest.feeds.sources.settings import BUDGET_FILE, FeedSources
from ingest.feeds.sources.values import Hint as Heard
from ingest.feeds.sources.values import Ids
from ingest.feeds.urls import podcast_key
from ingest.lake import Lake, utc_now_us
from ingest.settings import Settings
from ingest.web import BUSY
from registry.database import connected
from registry.findings import Finding
from registry.hints import Hint, add
from registry.lookups import Directory, look_up, of_apple, of_podcastindex
from registry.moved import polled
from registry.podcasts import by_podcastindex_id
from registry.reconciling import Known, Word, apply, known_of
from registry.rotation import Rotation, next_keys
from registry.sources import Reading, last_reading, remember

LOOKUPS = " lookups"  # the cursor of a directory's round stands under its name and this
_PASS_SHARE = 0.8  # of the time between two passes: after it no further podcast is looked up
_LOOK_BACK_S = 600  # of the Podcast Index: the first time, news of so long are asked for
_MOST_RECENT_CALLS = 5  # of a pass: 1,000 each


@dataclass
class SourceRead:
    """What one reading of one source came to."""

    source: str
    hints: int = 0
    tracked: int = 0  # hints of podcasts that somebody tracks
    ids: int = 0  # what was said of tracked podcasts
    looked_up: int = 0  # podcasts asked for
    updates: int = 0  # gaps filled
    findings: int = 0
    reason: str | None = None  # why it gave nothing, or broke off


@dataclass
class DirectoriesRead:
    """What a pass came to."""

    sources: list[SourceRead] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)  # those told one by one

    def total(self, name: str) -> int:
        """The sum of a count over the sources."""
        return sum(getattr(each, name) for each in self.sources)


def called_sources(sources: FeedSources) -> dict[str, Limits]:
    """Those that are on, by name, with their limits."""
    tables = {
        change_file.NAME: sources.podcastindex_changes,
        podcastindex.NAME: sources.podcastindex,
        apple.NAME: sources.apple,
    }
    return {name: table.limits for name, table in tables.items() if table.on}


def waits_until(settings: Settings, sources: FeedSources, now_us: int) -> int | None:
    """When a pass has something to do again; None: now. For who wants no pass for nothing."""
    limits = called_sources(sources)
    free = {name: _budget(settings, name, of).free_at_us(now_us) for name, of in limits.items()}
    if list(free) == [apple.NAME] and free[apple.NAME] <= now_us:
        with connected(settings.registry, settings.data) as engine:
            known = last_reading(engine, apple.NAME + LOOKUPS)
        rotation = Rotation.parse(known.cursor if known else None, now_us)
        free[apple.NAME] = rotation.begins_us if rotation.is_resting else now_us
    first = min(free.values(), default=now_us)
    return first if first > now_us else None


def read_directories(
    settings: Settings,
    every_s: float,
    clock: Callable[[], int] = utc_now_us,
    environ: Mapping[str, str] = os.environ,
) -> DirectoriesRead:
    """Read each source that is on once, and look up as many podcasts as its budget has for `every_s`, the
    time between two passes.

    Raises SettingError; a registry that fails raises what SQLAlchemy does.
    """
    sources = FeedSources.load(settings, environ)
    if not called_sources(sources):
        return DirectoriesRead()
    with connected(settings.registry, settings.data) as engine:
        return asyncio.run(_Pass(settings, sources, engine, every_s, clock, environ).run())


def _budget(settings: Settings, name: str, limits: Limits) -> Budget:
    return Budget(settings.data / BUDGET_FILE, name, limits)


class _Pass:
    """A pass under way: each method reads one source and leaves what it said, and where it stands now."""

    def __init__(
        self,
        settings: Settings,
        sources: FeedSources,
        engine: Engine,
        every_s: float,
        clock: Callable[[], int],
        environ: Mapping[str, str],
    ) -> None:
        self.settings, self.sources, self.engine = settings, sources, engine
        self.every_s, self.clock, self.environ = every_s, clock, environ
        self.lake_root = Lake(settings.lake_dir).root
        self.until = time.monotonic() + every_s * _PASS_SHARE
        self.read: dict[str, SourceRead] = {}
        self.words: list[Word] = []
        self.readings: dict[str, Reading] = {}  # to be remembered at the end

    async def run(self) -> DirectoriesRead:
        async with client("feed directories") as http:
            if self.sources.podcastindex_changes.on:
                await self._changes(self._calls(http, change_file.NAME))
            if self.sources.podcastindex.on:
                await self._index(self._calls(http, podcastindex.NAME))
            if self.sources.apple.on:
                await self._apple(self._calls(http, apple.NAME, apple.BUSY_STATUSES))
        applied = apply(self.engine, self.lake_root, self.words, self.clock())
        for name, reading in self.readings.items():
            remember(self.engine, name, reading)
        for name, count in applied.updates.items():
            self.read[name].updates = count
        for name, count in applied.findings.items():
            self.read[name].findings = count
        return DirectoriesRead(list(self.read.values()), applied.told)

    async def _changes(self, calls: Calls) -> None:
        before = self._cursor(calls.name)
        how = self.sources.podcastindex_changes
        try:
            found = await ChangeFile(calls, how.address, how.max_files).read(Cursor.parse(before))
        except SourceUnavailable as error:
            self._stands(calls.name, calls.name, before, error)
            return
        self._take(calls.name, found.hints, found.ids)
        self._stands(calls.name, calls.name, found.cursor.text(), found.stopped)

    async def _index(self, calls: Calls) -> None:
        api = PodcastIndex(
            calls, self.sources.podcastindex.credentials(self.environ), self.sources.podcastindex.address
        )
        await self._recent(api)
        await self._look_up(of_podcastindex(api, calls.budget.limits.share(self.every_s)))

    async def _recent(self, api: PodcastIndex) -> None:
        name, now_s = api.calls.name, self.clock() // 1_000_000
        before = self._cursor(name) or ""
        since_s = int(before) if before.isdecimal() else now_s - _LOOK_BACK_S
        stopped = None
        try:
            for _ in range(_MOST_RECENT_CALLS):
                found = await api.recent(since_s)
                self._take(name, found.hints, found.ids)
                if found.next_since_s == since_s:
                    break
                since_s = found.next_since_s
        except SourceUnavailable as error:
            stopped = error
        self._stands(name, name, str(since_s), stopped)

    async def _apple(self, calls: Calls) -> None:
        how = self.sources.apple
        lookup = Apple(calls, how.address, how.country, how.batch)
        await self._look_up(of_apple(lookup, calls.budget.limits.share(self.every_s)))

    async def _look_up(self, directory: Directory) -> None:
        cursor = directory.name + LOOKUPS

        def next_known(rotation: Rotation, at_most: int) -> tuple[Sequence[int], dict[int, Known]]:
            keys = next_keys(self.engine, rotation, at_most, directory.needs_itunes_id)
            return keys, known_of(self.engine, self.lake_root, keys)

        rotation = Rotation.parse(self._cursor(cursor), self.clock())
        looked = await look_up(directory, rotation, next_known, self.until)
        self.words += looked.words
        source = self._of(directory.name)
        source.looked_up = looked.podcasts
        source.ids += sum(bool(word.ids) for word in looked.words)
        self._stands(directory.name, cursor, looked.rotation.text(), looked.stopped)

    def _take(self, name: str, heard: Sequence[Heard], ids: Sequence[Ids]) -> None:
        """Store the hints; keep what is said of tracked podcasts."""
        source = self._of(name)
        numbers = {one.podcastindex_id for one in heard} | {one.podcastindex_id for one in ids}
        by_index = by_podcastindex_id(self.engine, [number for number in numbers if number is not None])
        hints = []
        for hint in heard:
            key = hint.podcast_key
            if key is None and hint.podcastindex_id is not None:
                key = by_index.get(hint.podcastindex_id)
            if key is not None:
                hints.append(Hint(key, name, hint.noticed_us))
        source.hints += len(heard)
        source.tracked += add(self.engine, hints)
        of_url = {one.feed_url: podcast_key(one.feed_url) for one in ids if one.feed_url is not None}
        with self.engine.connect() as connection:
            by_url = polled(connection, set(of_url.values()))
        for one in ids:
            key = by_url.get(of_url[one.feed_url]) if one.feed_url is not None else None
            if key is None and one.podcastindex_id is not None:
                key = by_index.get(one.podcastindex_id)
            if key is not None:
                source.ids += 1
                self.words.append(Word(key, name, (one,)))

    def _calls(self, http: httpx.AsyncClient, name: str, busy: tuple[int, ...] = BUSY) -> Calls:
        budget = _budget(self.settings, name, called_sources(self.sources)[name])
        return Calls(name, http, budget, busy=busy, clock_us=self.clock)

    def _of(self, name: str) -> SourceRead:
        return self.read.setdefault(name, SourceRead(name))

    def _cursor(self, name: str) -> str | None:
        known = last_reading(self.engine, name)
        return known.cursor if known else None

    def _stands(
        self, name: str, cursor_name: str, cursor: str | None, error: SourceUnavailable | None
    ) -> None:
        """Where reading goes on, and why it broke off."""
        reason = None if error is None else f"{error.reason}: {error.detail}"
        self.readings[cursor_name] = Reading(cursor, self.clock(), reason)
        source = self._of(name)
        source.reason = source.reason or reason
