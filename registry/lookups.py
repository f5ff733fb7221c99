"""The tracked podcasts looked up in the Podcast Index and at Apple: a bounded part of the round each pass."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from ingest.feeds.schema import shard_of
from ingest.feeds.sources import apple, podcastindex
from ingest.feeds.sources.apple import Apple, Mismatch
from ingest.feeds.sources.calls import SourceReason, SourceUnavailable
from ingest.feeds.sources.podcastindex import PodcastIndex
from ingest.feeds.sources.reconcile import Tracked
from registry.reconciling import Known, Word
from registry.rotation import Rotation

# The same question would be answered the same: the podcast is passed over at once.
_LASTING = (SourceReason.JUNK, SourceReason.REFUSED, SourceReason.TOO_LARGE)
# Not this podcast's fault: it is asked again, however often.
_OURS = (SourceReason.OUT_OF_BUDGET, SourceReason.BUSY, SourceReason.UNAUTHORIZED)
# What has become of an id, for a person. That Apple shows no feed URL is nothing wrong.
_TOLD = (Mismatch.MISSING, Mismatch.NOT_A_PODCAST)

Ask = Callable[[Sequence[Tracked]], Awaitable[list[Word]]]


@dataclass(frozen=True)
class Directory:
    """How a directory is asked for podcasts it is given."""

    name: str
    ask: Ask  # raises SourceUnavailable
    size: int  # podcasts of one question
    questions: int  # of one pass
    needs_itunes_id: bool = False


@dataclass
class Looked:
    """What a pass came to; `rotation`: where the next one goes on."""

    rotation: Rotation
    words: list[Word] = field(default_factory=list)
    podcasts: int = 0
    stopped: SourceUnavailable | None = None


def of_podcastindex(api: PodcastIndex, calls: int) -> Directory:
    """By its feed URL; a podcast that is not known by it by its guid: it may have moved."""

    async def ask(some: Sequence[Tracked]) -> list[Word]:
        words = []
        for one in some:
            found = await api.by_feed_url(one.feed_url)
            if found is None:
                found = await api.by_guid(one.podcast_guid)
            words.append(Word(one.podcast_key, api.calls.name, () if found is None else (found,)))
        return words

    # Two calls at most.
    return Directory(podcastindex.NAME, ask, size=1, questions=max(1, calls // 2))


def of_apple(lookup: Apple, calls: int) -> Directory:
    """By Apple's id, many at a time."""

    async def ask(some: Sequence[Tracked]) -> list[Word]:
        by_id = {one.itunes_id: one for one in some if one.itunes_id is not None}
        words: list[Word] = []
        async for answer in lookup.lookup(list(by_id)):
            found = {ids.itunes_id: ids for ids in answer.ids}
            wrong = dict(answer.mismatches)
            for one in some:
                ids, mismatch = found.get(one.itunes_id), wrong.get(one.itunes_id or 0)
                missing = mismatch if mismatch in _TOLD else None
                words.append(Word(one.podcast_key, lookup.calls.name, () if ids is None else (ids,), missing))
        return words

    return Directory(apple.NAME, ask, size=lookup.batch, questions=calls, needs_itunes_id=True)


async def look_up(
    directory: Directory,
    rotation: Rotation,
    next_known: Callable[[Rotation, int], tuple[Sequence[int], dict[int, Known]]],
    until: float,
) -> Looked:
    """Ask for as many podcasts as a pass may, until `until` (monotonic). Never raises for what a server does.

    next_known: the keys that are next, at most so many, and what is known of them.
    """
    looked = Looked(rotation)
    keys, known = next_known(rotation, directory.size * directory.questions)
    for start in range(0, len(keys), directory.size):
        if time.monotonic() > until:
            return looked
        some = keys[start : start + directory.size]
        last = some[-1]
        try:
            tracked = [known[key].tracked for key in some if key in known]
            looked.words += await directory.ask(tracked) if tracked else []
        except SourceUnavailable as error:
            looked.stopped = error
            stumbled_before = looked.rotation.stumbled_on == some[0]
            if error.reason in _LASTING or (stumbled_before and error.reason not in _OURS):
                looked.rotation = looked.rotation.past(shard_of(last), last)
            elif error.reason not in _OURS:
                looked.rotation = looked.rotation.stumbled(some[0])
            if error.reason not in _LASTING:
                return looked
            continue
        looked.podcasts += len(tracked)
        looked.rotation = looked.rotation.past(shard_of(last), last)
    if len(keys) < directory.size * directory.questions:
        looked.rotation = looked.rotation.over()
    return looked
