"""The API under load: `earshot serve --workers 2` over a published world, while newer versions are published.

    python -m bench api [--shows 12000] [--days 365] [--publications 10]

Server, publisher and clients are processes of their own on the same cores; the CPU of each is told. First the
mixed load (bench/api_mix.py) through all publications, then the same over a server that keeps no answers,
without If-None-Match. World: bench/api_world.py; what the figures mean: docs/performance.md.
"""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError

import orjson

from bench.api_load import Tally, load
from bench.api_mix import ENDPOINTS, REVALIDATED
from bench.api_world import World
from bench.measure import TAIL_LINES, CommandFailed, cpu_s, python, resident, tree
from bench.report import Figures, say, show

REPEATS = 1
SHOWS, DAYS, PUBLICATIONS = 12_000, 365, 10
WORKERS = 2
CLIENTS = 16  # connections that always have a question out
EVERY_S = 12.0  # from one publication to the next, unless one takes longer
SETTLE_S = 2.0  # for workers to look for the last version: they do twice a second
WARM_S, UNCACHED_S = 3.0, 20.0
_START_S, _LOOK_S = 120.0, 0.5


def run(
    rows: int | None,
    repeats: int,
    shows: int = SHOWS,
    days: int = DAYS,
    publications: int = PUBLICATIONS,
) -> Figures:
    """`rows` has no meaning here. Over the repeats the sum of errors, the median of all other figures."""
    if shows < 50 or days < 35 or publications < 1:
        raise CommandFailed("50 shows, 35 days and 1 publication are the least that can be told apart")
    world = World(shows, days)
    made_s = world.ready()
    runs = [_run(world, publications, number) for number in range(repeats)]
    figures = {name: _over(name, [one[name] for one in runs]) for name in runs[0]}
    show("The API under load", ["", "figure"], [[name, value] for name, value in figures.items()])
    return {"shows": shows, "days": days, "world_made_s": round(made_s, 1), **figures}


def _over(name: str, values: list[object]) -> object:
    numbers = [value for value in values if isinstance(value, int | float)]
    if len(numbers) < len(values):
        return values[-1]
    if name == "errors":
        return sum(numbers)
    return max(numbers) if name == "peak_mb" else statistics.median(numbers)


@dataclass
class _Measured:
    """A phase of load."""

    tally: Tally
    s: float
    server_cpu_s: float
    clients_cpu_s: float
    peak_bytes: int
    publications: list[dict[str, float]] = field(default_factory=list)

    @property
    def requests(self) -> int:
        return sum(self.tally.statuses.values())

    @property
    def per_s(self) -> float:
        return round(self.requests / self.s, 1)

    @property
    def server_ms(self) -> float:
        return round(self.server_cpu_s * 1000 / max(1, self.requests), 3)


def _run(world: World, publications: int, seed: int) -> Figures:
    with serving(world.folder, {}) as (port, pid):
        say(f"{CLIENTS} clients, {publications} publications, one every {EVERY_S:.0f} s ...")
        _measure(world, port, pid, WARM_S, 0, 1000 + seed)
        main = _measure(world, port, pid, 0, publications, seed)
    with serving(world.folder, {"EARSHOT_API_CACHE_MB": "0"}) as (port, pid):
        say(f"without answers kept, {UNCACHED_S:.0f} s ...")
        _measure(world, port, pid, WARM_S, 0, 1000 + seed)
        uncached = _measure(world, port, pid, UNCACHED_S, 0, seed, revalidated=0)
    _say_by_endpoint(main.tally, uncached.tally)
    faults = main.tally.faults + uncached.tally.faults
    for what, count in faults.most_common(20):
        say(f"  {count:,} × {what}")
    missed = publications - len(main.publications)
    seen = {round(one["version"]) for one in main.publications}
    unseen = len(seen - main.tally.versions)  # published, but no answer came from it
    asked = main.tally.seconds()
    return {
        "requests_per_s": main.per_s,
        "p50_ms": _at(asked, 0.5),
        "p99_ms": _at(asked, 0.99),
        "max_ms": _at(asked, 1),
        "errors": faults.total() + missed + unseen,
        "faults": dict(faults),
        "peak_mb": round(max(main.peak_bytes, uncached.peak_bytes) / 1e6),
        "server_cpu_ms_per_request": main.server_ms,
        "uncached_requests_per_s": uncached.per_s,
        "uncached_p99_ms": _at(uncached.tally.seconds(), 0.99),
        "uncached_server_cpu_ms_per_request": uncached.server_ms,
        "clients_cpu_ms_per_request": round(main.clients_cpu_s * 1000 / max(1, main.requests), 3),
        "requests": main.requests,
        "checked": main.tally.checked + uncached.tally.checked,
        "not_modified_share": round(main.tally.statuses[304] / max(1, main.requests), 3),
        "kilobytes_per_request": round(main.tally.received_bytes / max(1, main.requests) / 1000, 2),
        "publications": len(main.publications),
        "publication_s": _median(main, "s"),
        "publication_cpu_s": _median(main, "cpu_s"),
        "seconds": round(main.s, 1),
        "cores_of_server": round(main.server_cpu_s / main.s, 2),
        "cores_of_clients": round(main.clients_cpu_s / main.s, 2),
        "cores_of_publisher": round(sum(one["cpu_s"] for one in main.publications) / main.s, 2),
    }


def _measure(
    world: World,
    port: int,
    pid: int,
    seconds: float,
    publications: int,
    seed: int,
    revalidated: float = REVALIDATED,
) -> _Measured:
    """Load for so many seconds, or until so many publications are made and served."""
    began, server_cpu, own_cpu = time.monotonic(), _cpu_of(pid), time.process_time()
    tally, peak, published = asyncio.run(
        _under_load(world, port, pid, seconds, publications, seed, revalidated)
    )
    s = time.monotonic() - began
    return _Measured(tally, s, _cpu_of(pid) - server_cpu, time.process_time() - own_cpu, peak, published)


async def _under_load(
    world: World,
    port: int,
    pid: int,
    seconds: float,
    publications: int,
    seed: int,
    revalidated: float,
) -> tuple[Tally, int, list[dict[str, float]]]:
    over, peak = asyncio.Event(), 0
    asking = asyncio.ensure_future(load(world, port, CLIENTS, over, seed, revalidated))
    publishing = asyncio.ensure_future(_publish(world, publications) if publications else _rest(seconds))
    while not publishing.done() and not asking.done():
        peak = max(peak, resident(pid))
        await asyncio.wait([publishing, asking], timeout=_LOOK_S, return_when=asyncio.FIRST_COMPLETED)
    over.set()
    return await asking, peak, await publishing


async def _rest(seconds: float) -> list[dict[str, float]]:
    await asyncio.sleep(seconds)
    return []


async def _publish(world: World, count: int) -> list[dict[str, float]]:
    """In a process of its own; what it told of each publication. Raises CommandFailed."""
    of = [str(one) for one in (world.shows, world.days, count, EVERY_S)]
    process = await asyncio.create_subprocess_exec(
        *python("-m", "bench.api_publisher", *of),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, failed = await process.communicate()
    if process.returncode:
        tail = "\n  ".join(failed.decode().splitlines()[-TAIL_LINES:])
        raise CommandFailed(f"the publisher ended with {process.returncode}:\n  {tail}")
    await asyncio.sleep(SETTLE_S)
    return [orjson.loads(line) for line in said.splitlines()]


@contextmanager
def serving(data: Path, env: Mapping[str, str]) -> Iterator[tuple[int, int]]:
    """`earshot serve` on a data folder: its port and process. Raises CommandFailed: it does not start."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = {"EARSHOT_DATA": str(data), "EARSHOT_API_RATE": "0", "EARSHOT_API_PUBLIC_RATE": "0"}
    log = data / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            python("-m", "earshot.cli", "serve", "--port", str(port), "--workers", str(WORKERS)),
            stdout=out,
            stderr=out,
            env={**os.environ, **told, **env},
        )
    try:
        _until_ready(port, process, log)
        yield port, process.pid
    finally:
        process.terminate()
        try:
            process.wait(_START_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _until_ready(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < give_up:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (URLError, OSError):
            time.sleep(0.1)
    tail = "\n  ".join(log.read_text(errors="replace").splitlines()[-TAIL_LINES:])
    raise CommandFailed(f"the server is not ready:\n  {tail}")


def _cpu_of(pid: int) -> float:
    return sum(cpu_s(one.pid) for one in tree(pid))


def _at(seconds: list[float], share: float) -> float | None:
    """The quantile in milliseconds of ascending seconds."""
    if not seconds:
        return None
    return round(seconds[min(len(seconds) - 1, int(share * len(seconds)))] * 1000, 2)


def _median(of: _Measured, name: str) -> float | None:
    values = [one[name] for one in of.publications]
    return round(statistics.median(values), 2) if values else None


def _say_by_endpoint(main: Tally, uncached: Tally) -> None:
    rows: list[list[object]] = []
    for endpoint in ENDPOINTS:
        found = sorted(main.by_endpoint.get(endpoint.name, ()))
        fresh = sorted(uncached.by_endpoint.get(endpoint.name, ()))
        rows.append(
            [endpoint.name, len(found), _at(found, 0.5), _at(found, 0.99), _at(fresh, 0.5), _at(fresh, 0.99)]
        )
    show("By endpoint", ["", "requests", "p50 ms", "p99", "p50 uncached", "p99 uncached"], rows)
