"""Clients of the prefix in a process of their own: httptools over asyncio's sockets, one question out each.

    python -m bench.redirect_load PORT FIRST COUNT CONNECTIONS FOLDER

Until COUNT are answered. Every request has a number of its own, from FIRST on, in one of the forms of `/e/`.
What came of them is left in FOLDER: `answered` (numbers, int64), `seconds` (double, of the same), `done` (how
many so far, int64, for who looks on), and on stdout a line of JSON.
"""

from __future__ import annotations

import asyncio
import mmap
import sys
import time
from array import array
from collections import Counter
from pathlib import Path

import httptools
import orjson

HOST, SECOND = "media.example.com", "cdn.example.org"
# Target as asked, Location as it must be; a feed's form, mostly, and the others.
_FORMS = [
    (f"/e/{HOST}/show/%d/episode.mp3?n=%d", f"https://{HOST}/show/%d/episode.mp3?n=%d"),
    (f"/e/https://{HOST}/show/%d/episode.mp3?n=%d", f"https://{HOST}/show/%d/episode.mp3?n=%d"),
    (f"/e/{SECOND}/a/%d/b.mp3?n=%d", f"https://{SECOND}/a/%d/b.mp3?n=%d"),
    (f"/e/op3.dev/e/{HOST}/show/%d/episode.mp3?n=%d", f"https://op3.dev/e/{HOST}/show/%d/episode.mp3?n=%d"),
    (f"/e/https%%3A%%2F%%2F{HOST}%%2Fshow%%2F%d.mp3?n=%d", f"https://{HOST}/show/%d.mp3?n=%d"),
]
_AGENTS = [
    b"AppleCoreMedia/1.0.0.21E236 (iPhone; U; CPU OS 17_4_1 like Mac OS X; en_us)",
    b"Overcast/3.0 (+http://overcast.fm/; iOS podcast app)",
    b"Spotify/8.9.8 Android/33 (SM-G991B)",
]
_SHOWN = 64  # answers between two looks at how many there are
_PATIENCE_S, _AGAIN_S = 60.0, 0.01


class Numbers:
    """What all connections share: the next number, and what came of each."""

    def __init__(self, first: int, count: int, shown: mmap.mmap) -> None:
        self.next, self.end, self._shown = first, first + count, shown
        self.answered, self.seconds = array("q"), array("d")
        self.faults: Counter[str] = Counter()
        self.dropped = 0

    def take(self, number: int, seconds: float) -> None:
        self.answered.append(number)
        self.seconds.append(seconds)
        if not len(self.answered) % _SHOWN:
            self._shown[:8] = len(self.answered).to_bytes(8, "little")


class Client(asyncio.Protocol):
    """One connection, and the callbacks of its parser."""

    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers
        self._number = -1  # of the question that is out
        self._transport: asyncio.Transport
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._parser = httptools.HttpResponseParser(self)
        self._ask()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._numbers.faults[f"not HTTP: {type(error).__name__}"] += 1
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if self._number >= 0:
            # Closed by a reload while it was asked: nobody was answered, another number will be.
            self._numbers.dropped += 1
            self._numbers.end += 1
        if not self.ended.done():
            self.ended.set_result(None)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name == b"Location":
            self._location = value

    def on_message_complete(self) -> None:
        seconds = time.perf_counter() - self._asked
        status = self._parser.get_status_code()
        if status != 302 or self._location != self._wanted:
            self._numbers.faults[f"status {status}, or sent elsewhere"] += 1
        self._numbers.take(self._number, seconds)
        self._number = -1
        self._ask()

    def _ask(self) -> None:
        number = self._numbers.next
        if number >= self._numbers.end:
            self._transport.close()
            return
        self._numbers.next = number + 1
        target, wanted = _FORMS[number % len(_FORMS)]
        show = number % 977
        self._number, self._location = number, b""
        self._wanted = (wanted % (show, number)).encode()
        agent = _AGENTS[number % len(_AGENTS)]
        head = b"GET %b HTTP/1.1\r\nHost: pfx.example.net\r\nUser-Agent: %b\r\nRange: bytes=0-1\r\n\r\n"
        self._asked = time.perf_counter()
        self._transport.write(head % ((target % (show, number)).encode(), agent))


async def _connection(port: int, numbers: Numbers) -> None:
    """One after the other, until all numbers are taken: a reload closes connections."""
    give_up = time.monotonic() + _PATIENCE_S
    while numbers.next < numbers.end:
        try:
            _, client = await asyncio.get_running_loop().create_connection(
                lambda: Client(numbers), "127.0.0.1", port
            )
        except OSError:
            if time.monotonic() > give_up:
                raise
            await asyncio.sleep(_AGAIN_S)
            continue
        await client.ended


async def _ask_all(port: int, numbers: Numbers, connections: int) -> None:
    await asyncio.gather(*(_connection(port, numbers) for _ in range(connections)))


def main() -> None:
    port, first, count, connections = map(int, sys.argv[1:5])
    folder = Path(sys.argv[5])
    with (folder / "done").open("r+b") as done, mmap.mmap(done.fileno(), 8) as shown:
        numbers, began = Numbers(first, count, shown), time.monotonic()
        asyncio.run(_ask_all(port, numbers, connections))
        s = time.monotonic() - began
    (folder / "answered").write_bytes(numbers.answered.tobytes())
    (folder / "seconds").write_bytes(numbers.seconds.tobytes())
    said = {"s": s, "cpu_s": time.process_time(), "dropped": numbers.dropped, "faults": dict(numbers.faults)}
    print(orjson.dumps(said).decode())


if __name__ == "__main__":
    main()
