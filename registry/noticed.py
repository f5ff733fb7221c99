"""Takes in the notice files of `landing/hints`: their hints into the registry, the files put away.

Order: read, store the hints, put the file away. A crash between leaves the file, which is read again and says
the same; so do two processes at once. What is wrong with a file is told, and costs no other file.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from sqlalchemy import Engine

from ingest.feeds.sources.landing import Landed, NoticeFolder, put_away, shown_name, source_folders
from ingest.feeds.sources.notices import NoticeReject, Reject
from ingest.feeds.sources.settings import FeedSources
from ingest.lake import utc_now_us
from ingest.settings import Settings
from registry.database import connected
from registry.hints import Hint, add

TAKE_S = 20.0  # of one pass: a flood must not keep a worker from polling; the rest follows with the next one
MAX_TOLD = 200  # rejects told one by one; the rest is counted
# Stored at a time: a file each would cost a transaction each.
_FILES, _HINTS = 500, 10_000
_FORGET_EVERY_S = 3600  # looking through all files put away costs a second for 200,000
_FORGOTTEN = ".forgotten"  # its time: when that was done last


@dataclass
class SourceTaken:
    """What one source's files came to."""

    source: str
    files: int = 0
    hints: int = 0
    tracked: int = 0  # hints of podcasts that somebody tracks; the others are dropped
    rejected: int = 0


@dataclass
class Taken:
    """What a pass over the folder came to."""

    sources: dict[str, SourceTaken] = field(default_factory=dict)
    rejects: list[tuple[str, Reject]] = field(default_factory=list)  # (source, reject), at most MAX_TOLD
    forgotten: int = 0  # files put away long ago
    is_complete: bool = True  # False: time was over, more files wait

    def total(self, name: str) -> int:
        """The sum of a count over the sources."""
        return sum(getattr(each, name) for each in self.sources.values())


def notice_folders(settings: Settings) -> list[NoticeFolder]:
    """The folders whose source is on, each as its settings say. Raises SettingError."""
    names = [folder.name for folder in source_folders(settings.hints_dir)]
    if not names:
        return []
    sources = FeedSources.read(settings)
    return [
        NoticeFolder(settings.hints_dir, how.settle_s, how.keep_days, only=name)
        for name in names
        if (how := sources.notice_files(name)).on
    ]


def take_notices(
    settings: Settings, budget_s: float = TAKE_S, clock: Callable[[], int] = utc_now_us
) -> Taken:
    """Take in every settled file, the sources in turn, until `budget_s` is over.

    The files of a source that is off are left lying. Raises SettingError; a registry that fails raises
    what SQLAlchemy does, and the files stay.
    """
    folders, taken = notice_folders(settings), Taken()
    waiting = _in_turn([folder.waiting(clock()) for folder in folders])
    first = next(waiting, None)
    if first is not None:
        with connected(settings.registry, settings.data) as engine:
            _take_all(engine, chain([first], waiting), time.monotonic() + budget_s, taken)
    if folders and _may_forget(settings.hints_dir / _FORGOTTEN, clock()):
        taken.forgotten = sum(folder.expire(clock()) for folder in folders)
    return taken


def _take_all(engine: Engine, waiting: Iterable[Landed], until: float, taken: Taken) -> None:
    batch: list[Landed] = []
    hints = 0
    for landed in waiting:
        batch.append(landed)
        hints += len(landed.notices.hints)
        is_over = time.monotonic() > until
        if is_over or len(batch) >= _FILES or hints >= _HINTS:
            _take(engine, batch, taken)
            batch, hints = [], 0
        if is_over:
            taken.is_complete = next(iter(waiting), None) is None
            return
    _take(engine, batch, taken)


def _take(engine: Engine, batch: Sequence[Landed], taken: Taken) -> None:
    """Store the hints of some files, then put these away."""
    by_source: dict[str, list[Hint]] = {}
    for landed in batch:
        hints = by_source.setdefault(landed.source, [])
        for hint in landed.notices.hints:
            if hint.podcast_key is not None:
                hints.append(Hint(hint.podcast_key, hint.source, hint.noticed_us))
    for source, hints in by_source.items():
        tracked = add(engine, hints)
        counts = taken.sources.setdefault(source, SourceTaken(source))
        counts.hints += len(hints)
        counts.tracked += tracked
    for landed in batch:
        _put_away(landed, taken)


def _put_away(landed: Landed, taken: Taken) -> None:
    counts, rejects = taken.sources[landed.source], landed.notices.rejects
    try:
        put_away(landed)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        rejects.append(Reject(shown_name(landed.path), 0, NoticeReject.NOT_PUT_AWAY, reason))
        landed.notices.rejected += 1
    counts.files += 1
    counts.rejected += landed.notices.rejected
    room = MAX_TOLD - len(taken.rejects)
    taken.rejects += [(landed.source, reject) for reject in rejects[:room]]


def _in_turn(sources: Sequence[Iterator[Landed]]) -> Iterator[Landed]:
    """One of each, again and again, so that a flood from one source holds up no other."""
    left = list(sources)
    while left:
        for source in tuple(left):
            landed = next(source, None)
            if landed is None:
                left.remove(source)
            else:
                yield landed


def _may_forget(mark: Path, now_us: int) -> bool:
    """Whether that was last done long enough ago; if so, it counts as done now."""
    with suppress(OSError):  # a folder that is not ours to write: nothing was put away there either
        if mark.exists() and now_us / 1e6 - mark.stat().st_mtime < _FORGET_EVERY_S:
            return False
        mark.touch()
        os.utime(mark, (now_us / 1e6, now_us / 1e6))
        return True
    return False
