"""Unpacks plain, gzip (any number of members) and zstd (any number of frames) with bounds.

A packed file that ends early or breaks yields what unpacked before the break and is flagged.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol, cast

import zstandard
from isal import isal_zlib

from ingest.logs.errors import FileRefused
from ingest.settings import Settings

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
OTHER_PACKINGS = {b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"7z\xbc\xaf": "7-Zip"}
_ISAL_ERROR = cast(type[Exception], isal_zlib.error)
UTF8_MARK = b"\xef\xbb\xbf"

# † 64 KiB pieces: 20 % less CPU than 256 KiB (cache). zstd's object cannot bound its output, and 4 KiB can
# grow to at most 128 MiB (4 bytes a block of 128 KiB).
GZIP_PIECE, GZIP_OUTPUT, ZSTD_PIECE, PLAIN_PIECE = 65_536, 16 * 2**20, 4_096, 2**20
ZSTD_MAX_WINDOW = 2**27
RATIO_FROM = 64 * 2**20  # the ratio means little before: a small log of one repeated request packs 500-fold


@dataclass
class Unpacked:
    """What is known of the packing once its chunks are used up."""

    is_truncated: bool = False
    oddity: str | None = None
    bytes_in: int = 0
    bytes_out: int = 0

    def broke(self, reason: str) -> None:
        self.is_truncated = True
        self.oddity = reason


class _Unpacker(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def feed(self, data: bytes) -> Iterator[bytes]: ...


class _Gzip:
    def __init__(self) -> None:
        self._object = isal_zlib.decompressobj(31)
        self.fed = self.came = 0

    @property
    def eof(self) -> bool:
        return bool(self._object.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._object.unused_data)

    def feed(self, data: bytes) -> Iterator[bytes]:
        self.fed += len(data)
        while True:
            out: bytes = self._object.decompress(data, GZIP_OUTPUT)
            self.came += len(out)
            yield out
            data = self._object.unconsumed_tail
            if self._object.eof or (not data and len(out) < GZIP_OUTPUT):
                return

    def salvage(self, handle: BinaryIO, data: bytes) -> Iterator[bytes]:
        """After an error in `data`, the piece fed last: what it still holds before the break.

        The fast library throws a whole piece away. zlib can be copied: the member is read again from its
        start, the last piece byte by byte.
        """
        slow, skip = zlib.decompressobj(31), self.came
        handle.seek(handle.tell() - self.fed)
        left = self.fed
        while left > 0:
            piece = handle.read(min(GZIP_PIECE, left))
            if not piece:
                return
            left -= len(piece)
            last = left < len(data)
            for part in (piece[i : i + 1] for i in range(len(piece))) if last else [piece]:
                try:
                    out = slow.decompress(part)
                except zlib.error:
                    return
                yield out[skip:]
                skip = max(0, skip - len(out))


class _Zstd:
    def __init__(self) -> None:
        self._object = zstandard.ZstdDecompressor(max_window_size=ZSTD_MAX_WINDOW).decompressobj()

    @property
    def eof(self) -> bool:
        return self._object.eof

    @property
    def unused_data(self) -> bytes:
        return self._object.unused_data

    def feed(self, data: bytes) -> Iterator[bytes]:
        yield self._object.decompress(data)


def unpack(handle: BinaryIO, unpacked: Unpacked, settings: Settings) -> Iterator[bytes]:
    """Chunks of the file's text; `unpacked` is complete after the last. Raises FileRefused for a bomb."""
    magic = handle.read(8)
    handle.seek(0)
    for other, name in OTHER_PACKINGS.items():
        if magic.startswith(other):
            raise FileRefused(f"packed as {name}: Earshot reads plain text, gzip and zstd")
    if magic.startswith(GZIP):
        chunks = _packed(handle, unpacked, _Gzip, GZIP, GZIP_PIECE, "gzip")
    elif magic.startswith(ZSTD):
        chunks = _packed(handle, unpacked, _Zstd, ZSTD, ZSTD_PIECE, "zstd")
    else:
        chunks = _plain(handle)
    is_first = True
    for chunk in chunks:
        if not chunk:
            continue
        unpacked.bytes_out += len(chunk)
        _refuse_bomb(unpacked, settings)
        yield chunk.removeprefix(UTF8_MARK) if is_first else chunk
        is_first = False


def _plain(handle: BinaryIO) -> Iterator[bytes]:
    while chunk := handle.read(PLAIN_PIECE):
        yield chunk


def _packed(
    handle: BinaryIO, unpacked: Unpacked, kind: type[_Gzip] | type[_Zstd], magic: bytes, piece: int, name: str
) -> Iterator[bytes]:
    unpacker: _Unpacker | None = None
    data = b""
    while True:
        if not data:
            data = handle.read(piece)
            unpacked.bytes_in += len(data)
            if not data:
                break
        if unpacker is None:
            # Between members: padding with zeros is allowed (tape blocks), anything else is not ours.
            data = data.lstrip(b"\0") if unpacked.bytes_out else data
            if not data:
                continue
            if len(data) < len(magic):
                data += handle.read(piece)
            if not data.startswith(magic):
                unpacked.oddity = f"bytes after the end of the {name} data were ignored"
                return
            unpacker = kind()
        try:
            yield from unpacker.feed(data)
        except (_ISAL_ERROR, zstandard.ZstdError) as error:
            if isinstance(unpacker, _Gzip):
                yield from unpacker.salvage(handle, data)
            unpacked.broke(f"corrupt {name} data ({error}): what came before it was read")
            return
        data = b""
        if unpacker.eof:
            data = unpacker.unused_data
            unpacker = None
    if unpacker is not None:
        unpacked.broke(f"the {name} data ends early: what there is was read")


def _refuse_bomb(unpacked: Unpacked, settings: Settings) -> None:
    if unpacked.bytes_out > settings.max_file_bytes:
        raise FileRefused(f"unpacks to more than {settings.max_file_bytes} bytes (setting max_file_bytes)")
    if unpacked.bytes_in and unpacked.bytes_out > max(RATIO_FROM, settings.max_ratio * unpacked.bytes_in):
        raise FileRefused(
            f"unpacks to more than {settings.max_ratio:g} times its size (setting max_ratio): a zip bomb?"
        )
