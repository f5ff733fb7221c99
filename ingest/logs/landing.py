"""A landing file's bytes, safely: hashed, unpacked with bounds, cut into segments at newlines.

The packing is told by magic bytes, never by name. Memory holds two segments: the one being cleaned and the
next, which a thread unpacks meanwhile.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from ingest.logs.cut import joined, newlines
from ingest.logs.errors import FileChanged, FileRefused
from ingest.logs.unpack import Unpacked, unpack
from ingest.settings import Settings

HEAD_BYTES, SAMPLES, SAMPLE_BYTES = 65_536, 8, 16_384  # what formats are told by
TEXT_BYTES = 4_096  # of a line that is not read in full: enough for rejects.py
BLOCK = 1 << 20
NUL_SHARE = 0.01  # text has none; a log with a few torn writes has some


@dataclass(frozen=True)
class BadLine:
    """A line that landing itself cannot hand on. `text` is its start, undecoded."""

    row: int  # 0-based, in its segment
    reason: str
    text: bytes


@dataclass(frozen=True)
class Segment:
    """Whole lines. A bad line is left blank in `body`, so that the numbers of the others hold."""

    index: int
    body: bytes
    bad_lines: tuple[BadLine, ...] = ()


@dataclass
class OpenFile:
    """A landing file ready to be read once; the last two fields are known after `segments` is used up."""

    path: Path
    file_id: str  # first 32 hex digits of the SHA-256 of the bytes as landed
    size_bytes: int
    modified_ns: int
    head: bytes  # of the first segment
    segments: Generator[Segment] = field(repr=False)
    is_truncated: bool = False
    oddity: str | None = None  # why it is truncated, or what else is odd about its packing


def open_segments(path: Path, settings: Settings) -> OpenFile:
    """Open `path` for one pass over its lines.

    Raises FileRefused (empty, binary, bomb; the latter possibly while segments are read) and FileChanged.
    """
    handle, before = _open(path)
    file_id = None
    try:
        file_id = _content_hash(handle)
        opened = OpenFile(path, file_id, before.st_size, before.st_mtime_ns, b"", _nothing())
        unpacked = Unpacked()
        segments = _checked(handle, path, before, unpacked, opened, settings)
        first = next(segments, None)
        if first is None:
            raise FileRefused(unpacked.oddity or "the file is empty")
        opened.head = _sample(first.body)
        _refuse_binary(opened.head)
    except BaseException as error:
        handle.close()
        if isinstance(error, FileRefused):
            error.file_id = file_id
        raise
    opened.segments = _prefetched(first, segments)
    return opened


def _sample(body: bytes) -> bytes:
    """The first lines and some of the rest: what stands on top alone must not decide what a file is."""
    parts = [body[:HEAD_BYTES]]
    for number in range(1, SAMPLES + 1):
        start = max(HEAD_BYTES, len(body) * number // (SAMPLES + 1))
        first = body.find(b"\n", start, start + HEAD_BYTES) + 1
        if first:
            parts.append(body[first : first + SAMPLE_BYTES])
    return b"\n".join(parts)


def _open(path: Path) -> tuple[BinaryIO, os.stat_result]:
    try:
        # O_NONBLOCK: opening a FIFO must not hang; it is refused below.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except (FileNotFoundError, PermissionError) as error:
        raise FileChanged(f"cannot be opened: {error.strerror}") from error
    before = os.fstat(descriptor)
    if not stat.S_ISREG(before.st_mode):
        os.close(descriptor)
        raise FileRefused("not a regular file")
    return os.fdopen(descriptor, "rb", buffering=0), before


def _content_hash(handle: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := handle.read(BLOCK):
        digest.update(block)
    handle.seek(0)
    return digest.hexdigest()[:32]


def _checked(
    handle: BinaryIO,
    path: Path,
    before: os.stat_result,
    unpacked: Unpacked,
    opened: OpenFile,
    settings: Settings,
) -> Iterator[Segment]:
    """Segments, and at their end the proof that the bytes read are the bytes hashed."""
    with handle:
        chunks = unpack(handle, unpacked, settings)
        yield from _cut_into_segments(chunks, unpacked, settings)
        opened.is_truncated = unpacked.is_truncated
        opened.oddity = unpacked.oddity
        try:
            now_there = path.stat()
        except FileNotFoundError as error:
            raise FileChanged("it was removed while it was read") from error
        for after in (os.fstat(handle.fileno()), now_there):
            if _identity(after) != _identity(before):
                raise FileChanged("it changed while it was read")


def _identity(status: os.stat_result) -> tuple[int, ...]:
    # ctime too: a rewrite can set the modification time back, but not that.
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


class _Lines:
    """Collects whole lines until a segment is full; a line longer than the limit never builds up."""

    def __init__(self, settings: Settings) -> None:
        self.limit = settings.max_line_bytes
        self.parts: list[bytes | memoryview] = []  # whole lines
        self.size = 0
        self.open_line: list[bytes | memoryview] = []  # the start of a line whose newline has not come yet
        self.open_bytes = 0
        self.is_skipping = False  # the open line is too long: it is dropped up to its newline
        self.index = 0
        self.bad: list[tuple[int, str, bytes]] = []  # where it begins; reason and text as of BadLine

    def add(self, chunk: bytes) -> None:
        first, last = chunk.find(b"\n"), chunk.rfind(b"\n")
        if first < 0:
            self._extend_open_line(chunk)
            return
        self._extend_open_line(chunk[:first])
        self._close_open_line()
        self._add_whole(chunk, first + 1, last + 1)
        self._extend_open_line(chunk[last + 1 :])

    def _extend_open_line(self, piece: bytes) -> None:
        if self.is_skipping or not piece:
            return
        self.open_line.append(piece)
        self.open_bytes += len(piece)
        if self.open_bytes > self.limit:
            self._too_long(b"".join(self.open_line))
            self.open_line, self.open_bytes, self.is_skipping = [], 0, True

    def _close_open_line(self) -> None:
        self._keep(*self.open_line, b"\n")
        self.open_line, self.open_bytes, self.is_skipping = [], 0, False

    def _add_whole(self, chunk: bytes, position: int, end_of_lines: int) -> None:
        """Lines of `chunk` between two positions, without copying them."""
        view = memoryview(chunk)
        for start, end in long_lines(chunk, position, end_of_lines, self.limit):
            self._keep(view[position:start])
            self._too_long(chunk[start : min(end, start + TEXT_BYTES)])
            position = end  # its newline stays
        self._keep(view[position:end_of_lines])

    def _keep(self, *pieces: bytes | memoryview) -> None:
        self.parts.extend(pieces)
        self.size += sum(map(len, pieces))

    def _too_long(self, text: bytes) -> None:
        self._bad(f"longer than {self.limit} bytes (setting max_line_bytes)", text)

    def _bad(self, reason: str, text: bytes) -> None:
        """The line that comes next is bad."""
        self.bad.append((self.size, reason, text[:TEXT_BYTES]))

    def take(self) -> Segment:
        body = joined(self.parts)
        bad_lines, row, counted = [], 0, 0
        for start, reason, text in self.bad:
            row += newlines(body, counted, start)
            bad_lines.append(BadLine(row, reason, text))
            counted = start
        segment = Segment(self.index, body, tuple(bad_lines))
        self.index += 1
        self.parts, self.size, self.bad = [], 0, []
        return segment

    def finish(self, is_truncated: bool) -> None:
        """The last line has no newline: a whole line in a whole file, a torn one in a broken packing."""
        if self.open_line and is_truncated:
            self._bad("cut off: the file ends within this line", b"".join(self.open_line))
            self.open_line = []
        elif not self.open_line and not self.is_skipping:
            return
        self._close_open_line()


def long_lines(block: bytes, position: int, stop: int, limit: int) -> Iterator[tuple[int, int]]:
    """(start, end) of each line longer than `limit` bytes in `block[position:stop]`, which ends in a newline.

    Jumps from newline to newline at most `limit` apart, so it looks at few bytes of a good block.
    """
    while stop - position > limit + 1:
        newline = block.rfind(b"\n", position, position + limit + 1)
        if newline >= 0:
            position = newline + 1
        else:
            end = block.find(b"\n", position + limit, stop)
            yield position, end
            position = end + 1


def _cut_into_segments(chunks: Iterator[bytes], unpacked: Unpacked, settings: Settings) -> Iterator[Segment]:
    lines = _Lines(settings)
    for chunk in chunks:
        for start in range(0, len(chunk), settings.segment_bytes):
            lines.add(chunk[start : start + settings.segment_bytes])
            if lines.size >= settings.segment_bytes:
                yield lines.take()
    lines.finish(unpacked.is_truncated)
    if lines.parts or lines.bad:
        yield lines.take()


def _refuse_binary(head: bytes) -> None:
    if head.count(b"\0") > NUL_SHARE * len(head):
        encoding = " (UTF-16?)" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
        raise FileRefused(f"binary file{encoding}: it is not text, gzip or zstd")


def _nothing() -> Generator[Segment]:
    yield from ()


def _prefetched(first: Segment, rest: Iterator[Segment]) -> Generator[Segment]:
    """`first`, then `rest`, the next one being unpacked by a thread while the caller works."""
    with ThreadPoolExecutor(1, thread_name_prefix="unpack") as pool:
        coming = pool.submit(next, rest, None)
        yield first
        while (segment := coming.result()) is not None:
            coming = pool.submit(next, rest, None)
            yield segment
