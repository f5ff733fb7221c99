"""Content codings undone as the bytes arrive, with hard caps on what comes out.

No step ever makes more than `_STEP_BYTES`, whatever went in: a bomb is noticed after one step too many, not
after it has filled the memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import brotli
from isal import isal_zlib

from ingest.feeds.reasons import Reason

_STEP_BYTES = 256 * 1024
_MAX_CODINGS = 3  # chained; each is work, and one is usual
_MAX_MEMBERS = 100  # of one gzip stream: each costs a copy of what follows it
_RATIO_FROM_BYTES = 1024 * 1024  # little text may well be one letter a thousand times
_GZIP_MAGIC = b"\x1f\x8b"
_ERRORS: tuple[type[Exception], ...] = (isal_zlib.error, brotli.error)  # type: ignore[assignment]


class Unpackable(Exception):
    """The body cannot be unpacked within the limits: BAD_COMPRESSION, TOO_LARGE or BOMB."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


class _Coding(Protocol):
    @property
    def is_finished(self) -> bool: ...

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """What `data` adds, in pieces of at most about `_STEP_BYTES`."""


class Unpacker:
    """Undoes the codings of a `Content-Encoding` header, chained ones too (RFC 9110 §8.4).

    Known are gzip, deflate (with and without zlib's frame) and br. Limits: `max_bytes` out, and `max_ratio`
    times as much out as came in, the latter from 1 MB on; they hold for each coding of a chain. Raises
    Unpackable.
    """

    def __init__(self, content_encoding: str, max_bytes: int, max_ratio: float) -> None:
        names = [name.strip().lower() for name in content_encoding.split(",")]
        names = [name for name in names if name not in _NO_CODING]
        if len(names) > _MAX_CODINGS:
            raise Unpackable(Reason.BAD_COMPRESSION, f"{len(names)} content codings")
        if unknown := [name for name in names if name not in _CODINGS]:
            raise Unpackable(Reason.BAD_COMPRESSION, f"content coding {unknown[0][:50]!r}")
        self._codings: list[_Coding] = [_CODINGS[name]() for name in reversed(names)]
        self._made = [0] * len(names)
        self._names = names[::-1]
        self._max_bytes, self._max_ratio = max_bytes, max_ratio
        self._received = 0
        self._body: list[bytes] = []

    @property
    def size(self) -> int:
        """Bytes unpacked so far."""
        return self._made[-1] if self._made else self._received

    def feed(self, data: bytes) -> None:
        """Take the next bytes as received."""
        self._received += len(data)
        if self._received > self._max_bytes:
            raise Unpackable(Reason.TOO_LARGE, f"more than {self._max_bytes:,} bytes")
        self._body.extend(self._through(0, data))

    def finish(self) -> bytes:
        """The whole body. Raises Unpackable when a coding broke off."""
        for name, coding in zip(self._names, self._codings, strict=True):
            if self._received and not coding.is_finished:
                raise Unpackable(Reason.BAD_COMPRESSION, f"{name} breaks off after {self._received:,} bytes")
        return self._body[0] if len(self._body) == 1 else b"".join(self._body)

    def _through(self, at: int, data: bytes) -> Iterator[bytes]:
        if at == len(self._codings):
            if data:
                yield data
            return
        try:
            for piece in self._codings[at].pieces(data):
                self._count(at, len(piece))
                yield from self._through(at + 1, piece)
        except _ERRORS as error:
            raise Unpackable(Reason.BAD_COMPRESSION, f"{self._names[at]}: {error}") from None

    def _count(self, at: int, size: int) -> None:
        self._made[at] = made = self._made[at] + size
        if made > self._max_bytes:
            raise Unpackable(Reason.TOO_LARGE, f"unpacks to more than {self._max_bytes:,} bytes")
        if made > _RATIO_FROM_BYTES and made > self._received * self._max_ratio:
            detail = f"unpacks to more than {self._max_ratio:,.0f} times its size"
            raise Unpackable(Reason.BOMB, detail)


class _Gzip:
    """One or more members; what follows them and is none is dropped, as gzip does."""

    def __init__(self) -> None:
        self.is_finished = False
        self._member = isal_zlib.decompressobj(wbits=31)
        self._members = 1
        self._held = b""  # after a member: maybe the first byte of the next one's magic
        self._is_over = False

    def pieces(self, data: bytes) -> Iterator[bytes]:
        data = self._held + data
        self._held = b""
        while data and not self._is_over:
            if self.is_finished:
                if len(data) < len(_GZIP_MAGIC) and _GZIP_MAGIC.startswith(data):
                    self._held = data
                    return
                if not data.startswith(_GZIP_MAGIC):
                    self._is_over = True
                    return
                self._members += 1
                if self._members > _MAX_MEMBERS:
                    raise Unpackable(Reason.BAD_COMPRESSION, f"more than {_MAX_MEMBERS} gzip members")
                self._member, self.is_finished = isal_zlib.decompressobj(wbits=31), False
            yield from _inflated(self._member, data)
            self.is_finished = self._member.eof
            data = self._member.unused_data


class _Deflate:
    """zlib's frame by RFC 9110; raw deflate by many servers."""

    def __init__(self) -> None:
        self.is_finished = False
        self._head = b""
        self._stream: isal_zlib.Decompress | None = None

    def pieces(self, data: bytes) -> Iterator[bytes]:
        if self.is_finished:
            return
        if self._stream is None:
            self._head += data
            if len(self._head) < 2:
                return
            data = self._head
            is_framed = data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0
            self._stream = isal_zlib.decompressobj(wbits=15 if is_framed else -15)
        yield from _inflated(self._stream, data)
        self.is_finished = self._stream.eof


class _Brotli:
    def __init__(self) -> None:
        self._stream = brotli.Decompressor()

    @property
    def is_finished(self) -> bool:
        return bool(self._stream.is_finished())

    def pieces(self, data: bytes) -> Iterator[bytes]:
        while not self.is_finished:
            yield self._stream.process(data, output_buffer_limit=_STEP_BYTES)
            data = b""
            if self._stream.can_accept_more_data():
                return


def _inflated(stream: isal_zlib.Decompress, data: bytes) -> Iterator[bytes]:
    while not stream.eof:
        piece = stream.decompress(data, _STEP_BYTES)
        yield piece
        data = stream.unconsumed_tail
        if not data and len(piece) < _STEP_BYTES:
            return


_CODINGS: dict[str, type[_Gzip] | type[_Deflate] | type[_Brotli]] = {
    "gzip": _Gzip,
    "x-gzip": _Gzip,
    "deflate": _Deflate,
    "br": _Brotli,
}
_NO_CODING = ("", "identity", "none", "utf-8")  # the last two are mistakes that do no harm
