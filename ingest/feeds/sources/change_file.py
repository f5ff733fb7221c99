"""The Podcast Index's change file: what it saw change, a new file every three minutes, no key needed.

`current` is the newest file; each names the one before it (`previousTrackingUrl`) and its own `position`. One
walks back until the position read last (https://podcastindex-org.github.io/docs-api/#get-/static/tracking/current).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from urllib.parse import urlsplit

import orjson

from ingest.feeds.sources.calls import Calls, SourceReason, SourceUnavailable
from ingest.feeds.sources.podcastindex import news_of
from ingest.feeds.sources.values import Hint, Ids, as_id, as_record
from ingest.web import Known

NAME = "podcastindex_changes"
CURRENT = "https://tracking.podcastindex.org/current"


@dataclass(frozen=True)
class Cursor:
    """Where reading goes on; its text fits into one column."""

    position: int = 0  # of the newest file read; 0: none was
    etag: str | None = None
    last_modified: str | None = None
    gap_url: str | None = None  # a walk was broken off: the file to go on with …
    gap_position: int = 0  # … and the position at which it ends

    @classmethod
    def parse(cls, text: str | None) -> Cursor:
        """From `text`; from nothing, or from what is no cursor, the beginning."""
        try:
            said = as_record(orjson.loads(text or ""))
        except orjson.JSONDecodeError:
            return cls()
        position, gap_position = as_id(said.get("position")), as_id(said.get("gap_position"))
        if position is None:
            return cls()
        etag, modified, gap = (_text(said.get(name)) for name in ("etag", "last_modified", "gap_url"))
        return cls(position, etag, modified, gap, gap_position or 0)

    def text(self) -> str:
        return orjson.dumps(asdict(self)).decode()


@dataclass
class Changes:
    """What was read in one pass."""

    cursor: Cursor
    hints: list[Hint] = field(default_factory=list)
    ids: list[Ids] = field(default_factory=list)
    files: int = 0
    stopped: SourceUnavailable | None = None  # why the walk back was broken off; the cursor remembers where


@dataclass(frozen=True)
class _File:
    position: int
    previous: str | None
    known: Known


class ChangeFile:
    """Reads the change file and as many before it as are new, within the budget."""

    def __init__(self, calls: Calls, address: str = CURRENT, max_files: int = 40) -> None:
        """`max_files`: of one pass; the rest of a long absence follows with the next passes."""
        self.calls, self.address, self.max_files = calls, address, max_files

    async def read(self, cursor: Cursor) -> Changes:
        """Everything new since `cursor`, newest first; the first time only the newest file.

        Raises SourceUnavailable when not even the newest file can be read: then the cursor holds.
        """
        reply = await self.calls.get(self.address, known=Known(cursor.etag, cursor.last_modified))
        found = Changes(cursor)
        if reply.status == 304:
            await self._walk(cursor.gap_url, cursor.gap_position, found, cursor)
            return found
        newest = self._take(self.calls.json(reply), reply.known, found)
        head = Cursor(newest.position, newest.known.etag, newest.known.last_modified)
        first_time = cursor.position == 0
        if first_time or newest.position <= cursor.position:
            # Its positions began anew, or the same file came again: nothing to walk back for.
            await self._walk(cursor.gap_url, cursor.gap_position, found, head)
            return found
        # A gap of before is older than what is new now: one walk closes both.
        until = cursor.gap_position if cursor.gap_url else cursor.position
        await self._walk(newest.previous, until, found, head, newest.position)
        return found

    async def _walk(
        self, url: str | None, until: int, found: Changes, head: Cursor, above: int | None = None
    ) -> None:
        """Read from `url` back to position `until`; leaves the cursor in `found`."""
        files = 0
        while url is not None and found.stopped is None:
            if files == self.max_files:
                found.cursor = _with_gap(head, url, until)
                return
            try:
                reply = await self.calls.get(url, also=(404,))
                if reply.status == 404:
                    break  # it keeps about a day
                answer = self.calls.json(reply)
                position = _position(answer)
                if position is None or (above is not None and position >= above):
                    raise self.calls.failed(
                        SourceReason.JUNK, f"positions do not fall on the way back: {url}"
                    )
                if position <= until:
                    break
                file = self._take(answer, reply.known, found)
            except SourceUnavailable as error:
                found.stopped = error
                # What is junk now is junk later: only what may get better is tried again.
                lasting = (SourceReason.JUNK, SourceReason.REFUSED, SourceReason.TOO_LARGE)
                found.cursor = head if error.reason in lasting else _with_gap(head, url, until)
                return
            files, url, above = files + 1, file.previous, file.position
        found.cursor = _with_gap(head, None, 0)

    def _take(self, answer: Mapping[str, object], known: Known, found: Changes) -> _File:
        position, data = _position(answer), answer.get("data")
        if position is None or not isinstance(data, dict):
            raise self.calls.failed(SourceReason.JUNK, "no data with a position in it")
        hints, ids = news_of(data, self.calls.name, self.calls.clock_us())
        found.hints += hints
        found.ids += ids
        found.files += 1
        return _File(position, self._previous(answer.get("previousTrackingUrl")), known)

    def _previous(self, url: object) -> str | None:
        """The file before, if it is of the same server: an answer must not send us elsewhere."""
        if not isinstance(url, str) or len(url) > 500:
            return None
        try:
            here, there = urlsplit(self.address), urlsplit(url)
        except ValueError:
            return None
        return url if (here.scheme, here.netloc) == (there.scheme, there.netloc) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _position(answer: Mapping[str, object]) -> int | None:
    return as_id(as_record(answer.get("data")).get("position")) or as_id(answer.get("position"))


def _with_gap(head: Cursor, url: str | None, until: int) -> Cursor:
    return Cursor(head.position, head.etag, head.last_modified, url, until)
