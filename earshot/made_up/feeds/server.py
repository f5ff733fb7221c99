"""Plays a world of feeds over HTTP, as a process of its own, for as many host names as the world has.

    python -m earshot.made_up.feeds.server --world SPEC --port P --clock FILE [--log FILE]

SPEC is JSON, or a file of it: `{"script": {…FeedWorldSpec…}}` or `{"demo": {…WorldSpec…}}`. The clock file
(earshot.made_up.feeds.clock) says what time it is in the world; each request is logged with that time. The
first line of output is `port N` once it listens. All names lead here through a resolve map: see
`Running.resolve`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from isal import igzip

from earshot.made_up.feeds.clock import SimulatedClock, set_clock
from earshot.made_up.feeds.demo import demo_world
from earshot.made_up.feeds.http import Request, serve_until_killed
from earshot.made_up.feeds.world import Answer, FeedWorld, FeedWorldSpec, build
from earshot.made_up.http import Wire, head
from earshot.made_up.process import started

UNPACKED = 4  # one podcast in so many is on a server that does not compress
_DRIP = b"1\r\n \r\n"  # of a body that never ends
_SHORT = 1_000  # bytes the length of a cut-off answer claims beyond what comes


class Poll(NamedTuple):
    """A line of the poll log: a request as it was answered."""

    at_us: int  # simulated
    podcast: int
    place: int  # 0: the address it was registered with, 1: its second one
    status: int  # 0: nothing was answered


def make_world(spec: Mapping[str, Any]) -> FeedWorld:
    """The world a SPEC describes."""
    ((kind, values),) = spec.items()
    values = dict(values)
    if "start" in values:
        values["start"] = date.fromisoformat(values["start"])
    if kind == "script":
        return build(FeedWorldSpec(**values))
    if kind == "demo":
        return demo_world(**values)
    raise ValueError(f"a world is a script or a demo, got {kind!r}")


class WorldPlay:
    """Answers requests out of a world at the clock's instant, and logs them."""

    def __init__(self, world: FeedWorld, clock: SimulatedClock, log: Path | None) -> None:
        self._world, self._clock = world, clock
        # One write a line, so that a reader sees whole lines and a killed server has lost none.
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644) if log else None
        self._packed = lru_cache(2_000)(lambda body: igzip.compress(body, 1, mtime=0))

    def __call__(self, request: Request) -> Wire:
        at_us = self._clock.now_us()
        found = self._world.place(request.host.decode("latin-1"), request.path.decode("latin-1"))
        if found is None:
            return Wire(head(404, ("Content-Length", "0")))
        number, place = found
        answer = self._world.answer(number, at_us, place)
        is_known = answer.status == 200 and answer.manner == "whole" and is_unchanged(answer, request)
        if self._log is not None:
            status = 0 if answer.manner == "silent" else 304 if is_known else answer.status
            os.write(self._log, f"{at_us}\t{number}\t{place}\t{status}\n".encode())
        if answer.manner == "silent":
            return Wire(b"", "silent")
        if is_known:
            return Wire(head(304, *(pair for pair in answer.headers if pair[0] != "Content-Type")))
        return self._whole(answer, packed=request.gzip and number % UNPACKED != 0)

    def _whole(self, answer: Answer, packed: bool) -> Wire:
        headers, body = list(answer.headers), answer.body
        if packed and answer.status == 200:
            body = self._packed(body)
            headers.append(("Content-Encoding", "gzip"))
        if answer.manner == "endless":
            headers.append(("Transfer-Encoding", "chunked"))
            return Wire(head(200, *headers) + b"%x\r\n%b\r\n" % (len(body), body), "endless", _DRIP)
        if answer.manner == "cut_off":
            headers.append(("Content-Length", str(len(body) + _SHORT)))
            return Wire(head(200, *headers) + body, "close")
        if answer.header("Content-Length") is None:
            headers.append(("Content-Length", str(len(body))))
        return Wire(head(answer.status, *headers) + body)


def is_unchanged(answer: Answer, request: Request) -> bool:
    """Whether the client's validators are ours, byte for byte; its ETag goes first (RFC 9110 §13.2.2)."""
    if request.if_none_match is not None:
        etag = answer.header("ETag")
        return etag is not None and request.if_none_match == etag.encode("latin-1")
    modified = answer.header("Last-Modified")
    return modified is not None and request.if_modified_since == modified.encode("latin-1")


def read_poll_log(path: Path) -> list[Poll]:
    """All requests so far. A followed redirect is two lines of one instant."""
    with path.open(encoding="ascii") as lines:
        return [Poll(*map(int, line.split("\t"))) for line in lines]


def polls_of(log: list[Poll], podcast: int) -> list[int]:
    """The distinct instants at which a podcast was polled; for runs in which no answer was lost."""
    return sorted({poll.at_us for poll in log if poll.podcast == podcast})


@dataclass
class Running:
    """A server process."""

    port: int
    clock: Path
    log: Path
    process: subprocess.Popen[str]

    def set_clock(self, at_us: int, speed: float = 0) -> None:
        set_clock(self.clock, at_us, speed)

    def resolve(self, world: FeedWorld) -> dict[str, str]:
        """Host name → address and port, for the fetcher."""
        return dict.fromkeys(world.hosts, f"127.0.0.1:{self.port}")

    def polls(self) -> list[Poll]:
        return read_poll_log(self.log) if self.log.exists() else []


@contextmanager
def running(
    spec: Mapping[str, Any], folder: Path, start_us: int, speed: float = 0, port: int = 0
) -> Iterator[Running]:
    """The server of a world as a process, with clock and log in `folder`, until the block ends."""
    clock, log = folder / "feeds.clock", folder / "feeds.polls"
    set_clock(clock, start_us, speed)
    arguments = ["--world", json.dumps(spec, default=str), "--port", str(port), "--clock", str(clock)]
    with started("earshot.made_up.feeds.server", *arguments, "--log", str(log)) as (listening, process):
        yield Running(listening, clock, log, process)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m earshot.made_up.feeds.server", description=__doc__)
    parser.add_argument("--world", required=True, help="JSON, or a file of it")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--clock", type=Path, required=True, help="file; see earshot.made_up.feeds.clock")
    parser.add_argument("--log", type=Path, help="file to which the polls are appended")
    given = parser.parse_args()
    text = given.world if given.world.lstrip().startswith("{") else Path(given.world).read_text("utf-8")
    world = make_world(json.loads(text))
    if not given.clock.exists():
        set_clock(given.clock, world.start_us)
    serve_until_killed(WorldPlay(world, SimulatedClock(given.clock), given.log), given.port)


if __name__ == "__main__":
    main()
