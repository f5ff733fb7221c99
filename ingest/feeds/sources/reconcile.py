"""What directories say of a podcast, held against what we know: updates, conflicts, signs of a move.

Nothing here decides. A guid that the feed declares is never overwritten. A URL that differs is one signal of
a move, never a move (UPDATES §4: two signals).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from ingest.feeds.sources.values import Ids
from ingest.feeds.urls import podcast_key


@dataclass(frozen=True)
class Tracked:
    """What the registry, and the last good record, say of a podcast."""

    podcast_key: int
    feed_url: str
    original_url: str
    podcast_guid: str
    is_guid_declared: bool  # by the feed (`guid_source`), or by who registered it
    itunes_id: int | None = None
    podcastindex_id: int | None = None


class Field(StrEnum):
    """What can be updated; columns of the registry's podcasts."""

    PODCAST_GUID = "podcast_guid"
    ITUNES_ID = "itunes_id"
    PODCASTINDEX_ID = "podcastindex_id"


@dataclass(frozen=True)
class Update:
    """Propose `value` (an id, or a guid) for `field`."""

    field: Field
    value: int | str
    source: str


class ConflictReason(StrEnum):
    """Why nothing is proposed."""

    DIFFERS = "differs"  # from what we have
    DISAGREE = "disagree"  # two directories, and we have nothing
    OTHER_PODCAST = "other_podcast"  # another URL and another guid: it is not this podcast


@dataclass(frozen=True)
class Conflict:
    """For a person to look at."""

    field: Field
    ours: int | str | None
    theirs: int | str
    source: str
    reason: ConflictReason


@dataclass(frozen=True)
class MoveSignal:
    """A directory has the podcast at `url`. One of the two signals that a move needs, at most."""

    url: str
    source: str
    is_same_guid: bool  # the directory's guid is the declared one


@dataclass
class Reconciled:
    updates: list[Update] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    moves: list[MoveSignal] = field(default_factory=list)


def reconcile(ours: Tracked, directories: Iterable[Ids]) -> Reconciled:
    """What follows from the directories' answers about one podcast; the same whatever their order, sorted.

    An answer is of this podcast if it names one of its URLs or its declared guid. Else (it was asked for by
    an id, which may be wrong itself) its ids are not taken; its URL is a signal unless its guid is another.
    """
    found = Reconciled()
    proposed: dict[Field, dict[int | str, str]] = {}
    urls = {podcast_key(ours.feed_url), podcast_key(ours.original_url)}
    for theirs in sorted(directories, key=repr):
        is_same_url = theirs.feed_url is not None and podcast_key(theirs.feed_url) in urls
        is_same_guid = ours.is_guid_declared and theirs.podcast_guid == ours.podcast_guid
        guid_differs = ours.is_guid_declared and theirs.podcast_guid not in (None, ours.podcast_guid)
        if guid_differs and not is_same_url:
            found.conflicts.append(
                _conflict(ours, Field.PODCAST_GUID, theirs.podcast_guid or "", theirs.source, _OTHER)
            )
            continue
        for url in dict.fromkeys((theirs.feed_url, theirs.new_url)):
            if url is not None and podcast_key(url) not in urls:
                found.moves.append(MoveSignal(url, theirs.source, is_same_guid))
        if is_same_url or is_same_guid:
            _compare(ours, theirs, found, proposed)
    for name, values in proposed.items():
        if len(values) == 1:
            found.updates += [Update(name, value, source) for value, source in values.items()]
        else:
            found.conflicts += [
                _conflict(ours, name, value, source, ConflictReason.DISAGREE)
                for value, source in values.items()
            ]
    found.updates.sort(key=repr)
    found.conflicts = sorted(dict.fromkeys(found.conflicts), key=repr)
    found.moves = sorted(dict.fromkeys(found.moves), key=repr)
    return found


_OTHER = ConflictReason.OTHER_PODCAST


def _compare(
    ours: Tracked, theirs: Ids, found: Reconciled, proposed: dict[Field, dict[int | str, str]]
) -> None:
    for name in Field:
        value: int | str | None = getattr(theirs, name)
        known: int | str | None = getattr(ours, name)
        if value is None or value == known:
            continue
        # A guid that was derived from the URL stands in for one that nobody had said.
        if known is None or (name is Field.PODCAST_GUID and not ours.is_guid_declared):
            proposed.setdefault(name, {}).setdefault(value, theirs.source)
        else:
            found.conflicts.append(_conflict(ours, name, value, theirs.source, ConflictReason.DIFFERS))


def _conflict(ours: Tracked, name: Field, theirs: int | str, source: str, reason: ConflictReason) -> Conflict:
    return Conflict(name, getattr(ours, name), theirs, source, reason)
