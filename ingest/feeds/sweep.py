"""A sweep: in a bounded time, poll what is due in some shards and commit each shard as it is done.

One event loop fetches, processes of their own parse, and a shard is judged and written when its last answer
is there or the time is over. What was not polled stays due.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import polars as pl
import xxhash

from ingest.feeds import moves
from ingest.feeds.crawl import Judged, after_answer
from ingest.feeds.exchange import Answer, Ask
from ingest.feeds.fetch import Fetcher, FetchSettings
from ingest.feeds.identity import signed
from ingest.feeds.parsed import Known, ParsedFeed
from ingest.feeds.parsing import Parsers
from ingest.feeds.reasons import FeedUnreadable
from ingest.feeds.schema import Record
from ingest.feeds.state import LeaseLost, next_due_of
from ingest.feeds.turns import Turns
from ingest.feeds.urls import BadFeedUrl, host_of
from ingest.feeds.visit import Notice, Outcome, Poll, Visit, announced, begin, conclude
from ingest.logs.prefixes import PrefixRules

Clock = Callable[[], int]
_BROKEN = (OSError, pl.exceptions.PolarsError)  # of one shard's files: the others go on


@dataclass(frozen=True)
class SweepSettings:
    """How much a sweep does at a time."""

    budget_s: float = 45  # nothing is asked any more after that
    tick_s: float = 30  # what falls due within it is polled now (UPDATES §4: due by the end of the tick)
    parsers: int = 2  # processes
    audit_share: float = 0.01  # of delta parses, held against a whole one
    # Open shards: enough that hosts share connections, few enough that their answers fit in memory.
    shards_at_once: int = 32
    fetch: FetchSettings = field(default_factory=FetchSettings)


class Tracker(Protocol):
    """What a sweep asks of the registry (registry/tracker.py)."""

    def tracked(self, shard: int, generation: int) -> pl.DataFrame | None:
        """podcast_key, feed_url, state of all podcasts of the shard, and is_learnt: whether the registry
        knows for sure what former commits said of it. None: nothing is new since the last visit, which left
        the lake's shard at this `generation` or an earlier one.
        """
        ...

    def notices(self, shard: int) -> Sequence[Notice]: ...

    def holds(self, shard: int) -> bool:
        """Whether the shard is still ours to write: asked right before a commit."""
        ...

    def concluded(
        self, shard: int, generation: int, states: Sequence[Record], records: Sequence[Record]
    ) -> None:
        """What was to be written is: take over `states` and `records` (visit.Told), tell of the changes,
        forget the notices acted on, give the shard back.
        """
        ...


@dataclass
class Swept:
    """What a sweep came to."""

    outcomes: list[Outcome] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)  # shards that went to another worker
    broken: dict[int, str] = field(default_factory=dict)  # shards that could not be read or written, and why
    left: int = 0  # due, not polled in time
    seconds: float = 0.0

    def total(self, name: str) -> int:
        return sum(getattr(outcome, name) for outcome in self.outcomes)

    def counted(self, name: str) -> Counter[str]:
        """`failures` by reason or `changes` by type, over all shards."""
        counts: Counter[str] = Counter()
        for outcome in self.outcomes:
            counts += getattr(outcome, name)
        return counts


def sweep(
    lake_root: Path,
    shards: Sequence[int],
    tracker: Tracker,
    settings: SweepSettings,
    prefixes: PrefixRules,
    clock: Clock,
    progress: Callable[[int, int], None] | None = None,
) -> Swept:
    """Poll what is due in `shards`, in their order. `clock`: now, epoch µs; `progress`: polled, known due."""

    async def once() -> Swept:
        async with Fetcher(settings.fetch) as fetcher, Parsers(settings.parsers) as parsers:
            made = Sweep(lake_root, tracker, settings, prefixes, clock, fetcher, parsers, progress)
            return await made.run(shards)

    return asyncio.run(once())


class Sweep:
    """One sweep; fetcher and parsers may serve many, one after the other."""

    def __init__(
        self,
        lake_root: Path,
        tracker: Tracker,
        settings: SweepSettings,
        prefixes: PrefixRules,
        clock: Clock,
        fetcher: Fetcher,
        parsers: Parsers,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self._root, self._tracker, self._settings = lake_root, tracker, settings
        self._prefixes, self._clock, self._progress = prefixes, clock, progress
        self._fetcher, self._parsers = fetcher, parsers
        self._turns: Turns[tuple[int, Ask, Record]] = Turns(fetcher.buckets.connections)
        self._visits: dict[int, Visit] = {}
        self._under_way: set[asyncio.Task[None]] = set()
        self._something_ended = asyncio.Event()
        self._failed: list[BaseException] = []  # of ours, not of a feed: the sweep ends with it
        self._swept = Swept()
        self._due = self._polled = 0

    async def run(self, shards: Sequence[int]) -> Swept:
        began = time.monotonic()
        give_up = began + self._settings.budget_s
        waiting = iter(shards)
        while time.monotonic() < give_up and not self._failed:
            await self._open_more(waiting)
            if not self._turns and not self._under_way:
                break
            await self._hand_out(give_up)
        if self._under_way:
            await asyncio.wait(self._under_way)  # each ends within its own time
        if self._failed:
            raise self._failed[0]
        self._swept.left = len(self._turns)
        for shard in list(self._visits):
            self._conclude(shard)
        self._swept.seconds = time.monotonic() - began
        return self._swept

    async def _open_more(self, shards: Iterator[int]) -> None:
        """Open shards until enough is known to be due."""
        room = self._settings.fetch.connections * 4
        while len(self._turns) < room and len(self._visits) < self._settings.shards_at_once:
            shard = next(shards, None)
            if shard is None:
                return
            self._open(shard)
            await asyncio.sleep(0)

    def _open(self, shard: int) -> None:
        now_us = self._clock()
        end_us = now_us + round(self._settings.tick_s * 1e6)
        try:
            tracked = self._tracker.tracked(shard, next_due_of(self._root, shard)[0])
            notices = self._tracker.notices(shard)
            visit = self._visits[shard] = begin(self._root, shard, tracked, notices, now_us, end_us)
        except _BROKEN as error:
            self._swept.broken[shard] = f"{type(error).__name__}: {error}"
            return
        self._due += visit.due.height
        asked = ("podcast_key", "feed_url", "etag", "last_modified", "body_hash", "polls", "move_url")
        for row in visit.due.select(asked).sort("feed_url").iter_rows(named=True):
            ask = Ask(row["podcast_key"], row["feed_url"], row["etag"], row["last_modified"])
            self._turns.add(_host(row["feed_url"]), (shard, ask, row))
        if not visit.due.height:
            self._conclude(shard)

    async def _hand_out(self, give_up: float) -> None:
        """Start what may start now, else wait until something ends or a host may be asked again."""
        self._something_ended.clear()
        busy = self._settings.fetch.connections
        turn = self._turns.next(time.monotonic(), self._ready_in) if len(self._under_way) < busy else None
        if isinstance(turn, tuple):
            host, (shard, ask, row) = turn
            task = asyncio.create_task(self._poll(host, shard, ask, row))
            self._under_way.add(task)
            task.add_done_callback(self._ended)
            return
        wait = min(turn if turn is not None else 1.0, max(0.0, give_up - time.monotonic()))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._something_ended.wait(), wait)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if error := task.exception():
            self._failed.append(error)

    def _ready_in(self, host: str) -> float:
        return self._fetcher.buckets.ready_in(host)

    async def _poll(self, host: str, shard: int, ask: Ask, row: Record) -> None:
        try:
            poll = await self._asked(shard, ask, row)
        finally:
            self._turns.done(host, time.monotonic())
            self._something_ended.set()
        visit = self._visits[shard]
        visit.polls.append(poll)
        self._polled += 1
        if self._progress:
            self._progress(self._polled, self._due)
        if len(visit.polls) == visit.due.height:
            self._conclude(shard)

    async def _asked(self, shard: int, ask: Ask, row: Record) -> Poll:
        answer = await self._fetcher.fetch(ask)
        at_us = self._clock()
        poll = Poll(ask.key, at_us, answer if answer.body is None else replace(answer, body=None))
        if answer.body is None:
            return await self._with_candidate(shard, poll, row)
        body_hash = signed(xxhash.xxh3_64_intdigest(answer.body))
        poll = replace(poll, body_hash=body_hash)
        if body_hash != row["body_hash"]:
            read = await self._read(shard, ask.key, answer, at_us, self._is_audited(row))
            if isinstance(read, FeedUnreadable):
                return replace(poll, unreadable=read)
            poll = replace(poll, parsed=read)
        return await self._with_candidate(shard, poll, row)

    async def _read(
        self, shard: int, key: int, answer: Answer, at_us: int, is_audited: bool
    ) -> ParsedFeed | FeedUnreadable:
        try:
            known = self._known(shard, key)
            return await self._parsers.parse(
                answer.body or b"", answer.url, answer.content_type, known, is_audited, at_us
            )
        except FeedUnreadable as unreadable:
            return unreadable

    def _known(self, shard: int, key: int) -> Known | None:
        """What the ladder compares with; None: never read."""
        row = self._visits[shard].items(self._root).get(key)
        return Known(row["header_hash"], frozenset(row["item_hashes"])) if row else None

    def _is_audited(self, row: Record) -> bool:
        dice = xxhash.xxh3_64_intdigest(f"audit:{row['podcast_key']}:{row['polls']}".encode())
        return dice < self._settings.audit_share * (1 << 64)

    async def _with_candidate(self, shard: int, poll: Poll, row: Record) -> Poll:
        """Where the first signal of a move is complete, what the new address holds: the second one."""
        said = announced(poll.parsed) if poll.parsed else None
        if poll.answer.reason or not (row["move_url"] or poll.answer.permanent_url or said):
            return poll
        state = self._visits[shard].row(poll.podcast_key)
        judged = Judged(poll.body_hash, said) if poll.body_hash is not None else None
        after = after_answer(state, poll.answer, poll.at_us, judged=judged).state
        url = moves.to_prove(after, poll.at_us)
        if url is None:
            return poll
        answer = await self._fetcher.fetch(Ask(poll.podcast_key, url))
        if answer.reason is not None or answer.body is None:
            reason = answer.reason
            assert reason is not None
            return replace(poll, candidate=FeedUnreadable(reason, answer.detail))
        return replace(poll, candidate=await self._read(shard, poll.podcast_key, answer, poll.at_us, False))

    def _conclude(self, shard: int) -> None:
        """Judge and commit a shard; it is not ours any more when another worker took it."""
        visit = self._visits.pop(shard)
        try:
            outcome, told = conclude(self._root, visit, self._prefixes, lambda: self._tracker.holds(shard))
        except LeaseLost:
            self._swept.lost.append(shard)
            return
        except _BROKEN as error:
            self._swept.broken[shard] = f"{type(error).__name__}: {error}"
            return
        self._tracker.concluded(shard, outcome.generation, told.states, told.records)
        self._swept.outcomes.append(outcome)


def _host(url: str) -> str:
    try:
        return host_of(url)
    except (BadFeedUrl, ValueError):
        return ""  # the fetcher says what is wrong with it
