"""Plays the bench's million feeds over HTTP, at a cost of some 30 µs of CPU a 304 and 90 µs a body.

    python -m bench.feeds_server --port P      serves; the first line of output is `port N`

An answer with a body is a head and a patched channel (stored, not compressed) before items that were
compressed once a template.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from isal import isal_zlib

from bench.feeds_world import (
    MODIFIED,
    NOISE_TEMPLATES,
    TEMPLATES,
    Kind,
    body,
    document,
    hosts,
    kind_of,
    patched,
    template_of,
)  # fmt: skip
from bench.measure import cpu_s
from earshot.made_up.feeds.http import Request, serve_until_killed
from earshot.made_up.http import Wire, head
from earshot.made_up.process import started


class _Prepared:
    """A template's document: the channel to patch, and the items, compressed once.

    The gzip file is: its head, the patched channel as a stored block of deflate, the items as deflate blocks
    that refer to nothing before them, the CRC. That of the whole follows from that of the channel: as a
    function of it, CRC over a fixed text is linear but for a constant.
    """

    def __init__(self, document: bytes) -> None:
        at = document.index(b"<item>")
        self.channel, items = document[:at], document[at:]
        self.items_bytes = len(items)
        packer = isal_zlib.compressobj(1, isal_zlib.DEFLATED, -isal_zlib.MAX_WBITS)
        self.packed = packer.compress(items) + packer.flush()
        self._crc = zlib.crc32(items, 0)
        self._bits = [zlib.crc32(items, 1 << bit) ^ self._crc for bit in range(32)]

    def gzip(self, number: int) -> bytes:
        channel = patched(self.channel, number)
        size, crc, rest = len(channel), self._crc, zlib.crc32(channel)
        for bit in self._bits:
            if rest & 1:
                crc ^= bit
            rest >>= 1
        block = b"\0" + size.to_bytes(2, "little") + (size ^ 0xFFFF).to_bytes(2, "little") + channel
        end = crc.to_bytes(4, "little") + (size + self.items_bytes).to_bytes(4, "little")
        return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + block + self.packed + end


class BenchPlay:
    """Answers for all podcasts; every template is prepared before the first request."""

    def __init__(self) -> None:
        wanted = [(template, Kind.CHANGED) for template in range(TEMPLATES)]
        wanted += [(t, kind) for t in range(NOISE_TEMPLATES) for kind in (Kind.REBUILT, Kind.TOKENS)]
        self._prepared = {(template, kind): _Prepared(document(template, kind)) for template, kind in wanted}

    def __call__(self, request: Request) -> Wire:
        path = request.path
        if not path.startswith(b"/p/") or not request.host.endswith(b".bench.example"):
            return Wire(_NOT_FOUND)
        number = int(path[3:10])
        kind = kind_of(number)
        version = 1 if kind is Kind.SAME else 2
        etag = b'"%07d-%d"' % (number, version)
        if request.if_none_match == etag:
            return Wire(_SAME % (etag, MODIFIED[version].encode()))
        if kind is Kind.SAME or not request.gzip:  # for the curious: a sweep never asks so
            text = body(number)
            return Wire(_PLAIN % (len(text), etag, MODIFIED[version].encode()) + text)
        packed = self._prepared[template_of(number), kind].gzip(number)
        return Wire(_PACKED % (len(packed), etag, MODIFIED[version].encode()) + packed)


_NOT_FOUND = head(404, ("Content-Length", "0"))
_SAME = head(304, ("ETag", "%b"), ("Last-Modified", "%b"))
_PLAIN = head(
    200,
    ("Content-Type", "application/rss+xml"),
    ("Content-Length", "%d"),
    ("ETag", "%b"),
    ("Last-Modified", "%b"),
)
_PACKED = _PLAIN.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")


@dataclass
class Serving:
    """The server as a process of its own."""

    port: int
    pid: int

    def resolve(self) -> dict[str, str]:
        """Host name → address and port, for the fetcher."""
        return dict.fromkeys(hosts(), f"127.0.0.1:{self.port}")

    def cpu_s(self) -> float:
        """User and system time so far."""
        return cpu_s(self.pid)


@contextmanager
def serving() -> Iterator[Serving]:
    """The server, ready, until the block ends."""
    with started("bench.feeds_server") as (port, process):
        yield Serving(port, process.pid)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.feeds_server", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    serve_until_killed(BenchPlay(), parser.parse_args().port)
