"""One visit to a shard: which of its podcasts are due, and what their answers come to.

Between the two nothing is written and no lock is held; `conclude` commits all of it or nothing (state.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl
import xxhash

from ingest.feeds import moves
from ingest.feeds.crawl import Judged, after_answer, new_state, scheduled
from ingest.feeds.detect import Previous, detect
from ingest.feeds.episodes import enclosures_of, episodes_needed
from ingest.feeds.exchange import Answer
from ingest.feeds.parsed import ParsedFeed
from ingest.feeds.reasons import FeedUnreadable, Reason
from ingest.feeds.schedule import NEVER_US, due_frame, hint, next_due
from ingest.feeds.schema import STATE, Record, Tier
from ingest.feeds.state import Commit, Generation, LeaseLost, Shard, opened
from ingest.feeds.urls import BadFeedUrl, feed_url
from ingest.logs.prefixes import PrefixRules
from ingest.logs.urls import canonical_urls

DEREGISTERED = "deregistered: not polled any more"


@dataclass(frozen=True)
class Notice:
    """Somebody says that a podcast had news at `noticed_us`."""

    podcast_key: int
    noticed_us: int
    is_asked: bool = False  # by somebody here: it is polled at once, whatever its schedule says
    is_publishers: bool = True  # podping, WebSub: who sends them will send the next one, too


@dataclass(frozen=True)
class Poll:
    """What one poll of a podcast brought."""

    podcast_key: int
    at_us: int
    answer: Answer  # without its body
    body_hash: int | None = None  # of a good 200
    parsed: ParsedFeed | None = None  # of a body that is not the one judged last
    unreadable: FeedUnreadable | None = None
    candidate: ParsedFeed | FeedUnreadable | None = None  # what the address holds to which it may have moved


@dataclass
class Visit:
    """A shard under way."""

    shard: int
    generation: Generation  # of the state that was read
    due: pl.DataFrame  # columns of STATE, the podcasts to poll
    settled: list[Record]  # STATE rows that change without a poll; a poll's row goes before
    podcasts: int
    unlearnt: list[int]  # podcasts of whose last good record the registry may not know
    polls: list[Poll] = field(default_factory=list)
    _items: dict[int, Record] | None = None

    def items(self, lake_root: Path) -> dict[int, Record]:
        """podcast_key → ITEMS row of the podcasts that are due; read once, when the first body has come."""
        if self._items is None:
            rows = Shard(lake_root, self.shard).items(self.due["podcast_key"].to_list())
            self._items = {row["podcast_key"]: row for row in rows.iter_rows(named=True)}
        return self._items

    def row(self, podcast_key: int) -> Record:
        """The STATE row of a podcast that is due."""
        return self.due.row(int(self.due["podcast_key"].search_sorted(podcast_key)), named=True)


@dataclass(frozen=True)
class Told:
    """What the registry is to know after a visit: rows of the commit, and those of `Visit.unlearnt`."""

    states: list[Record]  # podcast_key, feed_url, tier, tier_reason, and perhaps more of STATE
    records: list[Record]  # podcast_key, podcast_guid, guid_source, and perhaps more of PODCASTS


@dataclass
class Outcome:
    """What a visit came to, for reports; counts of podcasts."""

    shard: int
    generation: int = 0
    podcasts: int = 0
    due: int = 0
    polled: int = 0
    first: int = 0  # read for the first time
    unchanged: int = 0  # 304, or the same body
    changed: int = 0  # with a change that is not minor
    failures: Counter[str] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)  # by ChangeType, minor ones left out
    audits: int = 0
    mismatches: int = 0


def begin(
    lake_root: Path,
    number: int,
    tracked: pl.DataFrame | None,
    notices: Sequence[Notice],
    now_us: int,
    end_us: int,
) -> Visit:
    """What is due in a shard by `end_us`. `tracked`: podcast_key, feed_url, state, is_learnt of all; None:
    as the last visit found them.
    """
    with opened(lake_root, number) as shard:
        state, generation = shard.state(), shard.generation()
    settled = [] if tracked is None else _settled(state, tracked, now_us)
    changed = {row["podcast_key"]: row for row in settled}
    hinted = {notice.podcast_key: notice for notice in notices}
    if hinted:
        rows = state.filter(pl.col("podcast_key").is_in(list(hinted))).iter_rows(named=True)
        for row in rows:
            key = row["podcast_key"]
            row = changed.get(key, row)
            if row["tier_reason"] != DEREGISTERED:
                changed[key] = _noticed(row, hinted[key], now_us)
    if changed:
        new = pl.DataFrame(list(changed.values()), schema=STATE)
        state = pl.concat([state.join(new.select("podcast_key"), on="podcast_key", how="anti"), new])
    due = due_frame(state, end_us)
    return Visit(
        shard=number,
        generation=generation,
        due=due.sort("podcast_key"),
        settled=list(changed.values()),
        podcasts=state.height,
        unlearnt=[] if tracked is None else _unlearnt(state, tracked),
    )


def _noticed(row: Record, notice: Notice, now_us: int) -> Record:
    if not notice.is_asked:
        hinted = hint(row, notice.noticed_us, now_us)
        return hinted if notice.is_publishers else hinted | {"hinted_us": row["hinted_us"]}
    return row | {"next_due_us": max(now_us, row["retry_after_us"] or 0)}


def _unlearnt(state: pl.DataFrame, tracked: pl.DataFrame) -> list[int]:
    untold = tracked.filter(pl.col("is_learnt").not_() & (pl.col("state") != "deregistered"))
    if untold.is_empty():
        return []
    has_record = state.filter(pl.col("fetched_us").is_not_null())
    return has_record.join(untold, on="podcast_key", how="semi")["podcast_key"].to_list()


def _settled(state: pl.DataFrame, tracked: pl.DataFrame, now_us: int) -> list[Record]:
    """STATE rows of podcasts that were registered, deregistered or registered again since the last visit."""
    wanted = tracked.filter(pl.col("state") != "deregistered").select("podcast_key", "feed_url", "state")
    new = wanted.join(state, on="podcast_key", how="anti")
    rows = [new_state(key, url) for key, url, _ in new.iter_rows()]
    is_gone = pl.col("tier") == Tier.GONE.value
    is_left = is_gone & (pl.col("tier_reason") == DEREGISTERED)
    ended = state.join(wanted, on="podcast_key", how="anti").filter(is_gone.not_().fill_null(True))
    gone = {"tier": Tier.GONE.value, "tier_reason": DEREGISTERED, "next_due_us": NEVER_US}
    rows += [row | gone for row in ended.iter_rows(named=True)]
    back = state.filter(is_gone).join(
        wanted.filter(pl.col("state") == "active"), on="podcast_key", how="semi"
    )
    left = set(state.filter(is_left)["podcast_key"])
    for row in back.iter_rows(named=True):
        rows.append(row | {"next_due_us": now_us, **({"tier": None} if row["podcast_key"] in left else {})})
    return rows


def conclude(
    lake_root: Path, visit: Visit, prefixes: PrefixRules, may_commit: Callable[[], bool] = lambda: True
) -> tuple[Outcome, Told]:
    """Judge the polls and commit; (for reports, for the registry).

    Raises LeaseLost where the shard went to another worker, and OSError.
    """
    with opened(lake_root, visit.shard) as shard:
        if shard.generation() != visit.generation:
            raise LeaseLost(f"shard {visit.shard} was written by another worker")
        outcome = Outcome(visit.shard, visit.generation, visit.podcasts, visit.due.height, len(visit.polls))
        commit = _judged(shard, visit, prefixes, outcome)
        if commit.state:
            outcome.generation = shard.commit(commit, may_commit)
            shard.compact()
        return outcome, _told(shard, visit, commit)


def _told(shard: Shard, visit: Visit, commit: Commit) -> Told:
    if not visit.unlearnt:
        return Told(commit.state, commit.podcasts)
    is_unlearnt = pl.col("podcast_key").is_in(visit.unlearnt)
    # The guids are read now: those of the commit are among them.
    written = {row["podcast_key"] for row in commit.state}
    others = shard.state().filter(is_unlearnt, pl.col("podcast_key").is_in(written).not_())
    states = others.select("podcast_key", "feed_url", "tier", "tier_reason")
    guids = shard.podcasts(visit.unlearnt, ("podcast_guid", "guid_source"))
    records = [row for row in commit.podcasts if row["podcast_key"] not in guids]
    return Told([*commit.state, *states.iter_rows(named=True)], [*records, *guids.values()])


def _judged(shard: Shard, visit: Visit, prefixes: PrefixRules, outcome: Outcome) -> Commit:
    known = _Known(shard, visit, prefixes)
    rows = {row["podcast_key"]: row for row in _due_rows(visit)}
    # What is due and was not polled in time is written too: nobody looks for what was registered again.
    commit = Commit(state=[row for row in visit.settled if row["podcast_key"] not in rows])
    for poll in visit.polls:
        row, one = rows[poll.podcast_key], Commit(state=[])
        try:
            _judge(row, poll, known, one, outcome)
        except Exception as error:  # what we cannot make sense of costs that feed alone
            said = FeedUnreadable(Reason.PARSER_FAILED, f"{type(error).__name__}: {error}"[:300])
            one = Commit(state=[])
            _judge(row, replace(poll, parsed=None, candidate=None, unreadable=said), known, one, outcome)
        commit.add(one)
    return commit


def _due_rows(visit: Visit) -> list[Record]:
    polled = pl.Series([poll.podcast_key for poll in visit.polls], dtype=pl.Int64)
    return list(visit.due.filter(pl.col("podcast_key").is_in(polled.implode())).iter_rows(named=True))


class _Known:
    """What the shard holds of the podcasts whose content is to be judged."""

    def __init__(self, shard: Shard, visit: Visit, prefixes: PrefixRules) -> None:
        read = [poll for poll in visit.polls if poll.parsed or poll.candidate]
        keys = [poll.podcast_key for poll in read]
        self.podcasts = shard.podcasts(keys) if keys else {}
        self.items = visit.items(shard.root) if keys else {}
        self.canonical = _canonical(
            {url for poll in read for feed in _feeds(poll) for url in enclosures_of(feed)}, prefixes
        )
        needed = {
            poll.podcast_key: episodes_needed(
                poll.podcast_key, self.items.get(poll.podcast_key), poll.parsed, self.canonical
            )
            for poll in read
            if poll.parsed and poll.podcast_key in self.items
        }
        self.episodes = shard.episodes(needed) if needed else {}


def _feeds(poll: Poll) -> list[ParsedFeed]:
    return [feed for feed in (poll.parsed, poll.candidate) if isinstance(feed, ParsedFeed)]


def _canonical(urls: set[str], prefixes: PrefixRules) -> dict[str, str]:
    written = pl.Series(sorted(urls), dtype=pl.String)
    found = canonical_urls(written, prefixes)["enclosure_url"]
    return {url: canonical or url for url, canonical in zip(written, found, strict=True)}


def _judge(row: Record, poll: Poll, known: _Known, commit: Commit, outcome: Outcome) -> None:
    """One podcast's rows and changes, added to `commit`."""
    key, state = poll.podcast_key, row
    podcast, items = known.podcasts.get(key), known.items.get(key)
    judged, unreadable, changes = None, poll.unreadable, []
    written = None
    if poll.parsed is not None:
        previous = Previous(state, podcast, items, known.episodes.get(key, {}))
        found = detect(previous, poll.parsed, row["feed_url"], poll.at_us, known.canonical)
        state, changes, written, unreadable = found.state, found.changes, found.podcast, found.damped
        commit.items += [found.items] if found.items else []
        commit.episodes += found.episodes
        judged = Judged(poll.body_hash or 0, announced(poll.parsed), _is_same(poll, podcast, items, known))
        outcome.audits += poll.parsed.audit is not None
        outcome.mismatches += poll.parsed.audit is False
    elif poll.body_hash is not None and unreadable is None:
        judged = Judged(poll.body_hash)
    noted = after_answer(state, poll.answer, poll.at_us, judged=judged, unreadable=unreadable)
    state, changes = noted.state, changes + noted.changes
    if poll.candidate is not None and podcast is not None and items is not None:
        if isinstance(poll.candidate, FeedUnreadable):
            state = moves.unproved(state, poll.at_us)
        else:
            is_same = moves.is_same_feed(podcast, items, poll.candidate, known.canonical)
            state, told = moves.moved(state, is_same, poll.at_us)
            changes += told
            if told:
                written = (written or podcast) | {"feed_url": state["feed_url"]}
    state = scheduled(state, next_due(state, poll.at_us, jitter(key, state["polls"])))
    commit.state.append(state)
    commit.podcasts += [written] if written else []
    commit.changes += changes
    major = [change["change"] for change in changes if not change["is_minor"]]
    outcome.changes.update(major)
    outcome.first += podcast is None and written is not None
    outcome.changed += bool(major)
    outcome.unchanged += state["reason"] is None and poll.parsed is None
    if state["reason"] is not None:
        outcome.failures[state["reason"]] += 1


def _is_same(poll: Poll, podcast: Record | None, items: Record | None, known: _Known) -> bool:
    """Whether what a permanent redirect led to is the podcast we know."""
    if poll.answer.permanent_url is None or podcast is None or items is None or poll.parsed is None:
        return True
    return moves.is_same_feed(podcast, items, poll.parsed, known.canonical)


def announced(parsed: ParsedFeed) -> str | None:
    """The address that the feed says it moved to, in its one written form; None: none that can be used."""
    try:
        url = parsed.content["announced_url"]
        return feed_url(url) if url else None
    except BadFeedUrl:
        return None


def jitter(podcast_key: int, polls: int) -> float:
    """In [0, 1): as good as random from poll to poll, and the same when the poll is judged again."""
    return (xxhash.xxh3_64_intdigest(f"{podcast_key}:{polls}".encode()) >> 11) / (1 << 53)
