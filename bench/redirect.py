"""The prefix under load: nginx as `earshot edge render` sets it up, while its log is rotated and it reloads.

    python -m bench redirect [--rows 500000] [--buffered]

Every request has a number; afterwards each number that was answered must stand in the landing folder once.
nginx, its clients (bench/redirect_load.py, processes of their own) and the rotation share the cores.
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson

from bench.measure import TAIL_LINES, CommandFailed, python, tree
from bench.redirect_load import HOST, SECOND
from bench.report import Figures, say, show
from earshot.made_up import edge as edges
from earshot.made_up.edge import Edge
from ingest.settings import Settings
from serving.edge.rotate import rotate

REPEATS = 1
REQUESTS, ROTATIONS = 500_000, 10
PROCESSES, CONNECTIONS = 2, 16  # connections each; one question out on every one
HOSTS = 5_000  # registered beside those that are asked for
BUFFER = " buffer=64k flush=1s"
_APART = 10**9  # between the numbers of two clients
_LOOK_S = 0.01


def run(rows: int | None, repeats: int, buffered: bool = False) -> Figures:
    """`rows`: requests. The sum of what is lost, the median of all other figures. Raises CommandFailed."""
    requests = rows or REQUESTS
    if not edges.is_there():
        raise CommandFailed("nginx is not installed: apt-get install nginx-light")
    if requests < 1_000:
        raise CommandFailed("1,000 requests are the least that ten rotations can be told apart in")
    runs = [_run(requests, BUFFER if buffered else "") for _ in range(repeats)]
    figures: Figures = {}
    for name in runs[0]:
        values = [one[name] for one in runs]
        figures[name] = sum(values) if name in _SUMMED else round(statistics.median(values), 3)
    show("The prefix under load", ["", "figure"], [[name, value] for name, value in figures.items()])
    return {"is_buffered": buffered, **figures}


_SUMMED = ("lines_lost", "lines_twice", "lines_torn", "faults")


@dataclass(frozen=True)
class _Asked:
    """What the clients have seen."""

    answered: np.ndarray
    seconds: np.ndarray
    s: float
    cpu_s: float
    dropped: int
    faults: int


def _run(requests: int, log_options: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="earshot-redirect-") as name:
        platform = Settings(data=Path(name) / "data", prefix_hosts="pfx.example.net")
        many = [f"host{number}.example.com" for number in range(HOSTS)]
        with edges.running(platform, HOST, SECOND, *many, log_options=log_options, rate=0) as edge:
            say(f"{requests:,} requests, {ROTATIONS} rotations, a reload ...")
            before = _server_cpu_s(edge)
            asked, rotations = _under_load(edge, requests, Path(name), [HOST, SECOND, *many])
            server_s = _server_cpu_s(edge) - before
            rotate(edge.settings)
        landed, torn = _landed(edge)
    answered = len(asked.answered)
    return {
        "requests": answered,
        "requests_per_s": answered / asked.s,
        "p50_ms": float(np.quantile(asked.seconds, 0.5)) * 1000,
        "p99_ms": float(np.quantile(asked.seconds, 0.99)) * 1000,
        "max_ms": float(asked.seconds.max()) * 1000,
        "lines_lost": sum(1 for number in asked.answered.tolist() if number not in landed),
        "lines_twice": sum(count - 1 for count in landed.values()),
        "lines_torn": torn,
        "faults": asked.faults,
        "dropped_by_reload": asked.dropped,
        "rotations": len(rotations),
        "rotation_ms": statistics.median(rotations) * 1000,
        "rotation_max_ms": max(rotations) * 1000,
        "server_cpu_us_per_request": server_s / answered * 1e6,
        "clients_cpu_us_per_request": asked.cpu_s / answered * 1e6,
        "seconds": asked.s,
    }


def _under_load(edge: Edge, requests: int, folder: Path, hosts: list[str]) -> tuple[_Asked, list[float]]:
    """Rotations evenly over the requests, the reload in their middle: clients' findings, seconds of each."""
    share, rotations = requests // PROCESSES, list[float]()
    folders = [folder / f"client{number}" for number in range(PROCESSES)]
    clients = []
    for number, own in enumerate(folders):
        own.mkdir()
        (own / "done").write_bytes(bytes(8))
        told = [str(one) for one in (edge.port, number * _APART, share, CONNECTIONS, own)]
        clients.append(
            subprocess.Popen(
                python("-m", "bench.redirect_load", *told), stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        )
    try:
        for number in range(ROTATIONS):
            aim = requests * (number + 1) // (ROTATIONS + 1)
            while _done(folders) < aim and any(client.poll() is None for client in clients):
                time.sleep(_LOOK_S)
            if number == ROTATIONS // 2 and not edge.put(*hosts, "one-more.example.com"):
                raise CommandFailed("nginx was not told to reload")
            began = time.perf_counter()
            rotate(edge.settings)
            rotations.append(time.perf_counter() - began)
        return _findings(clients, folders), rotations
    finally:
        for client in clients:
            client.kill()
            client.wait()


def _done(folders: list[Path]) -> int:
    return sum(int.from_bytes((own / "done").read_bytes(), "little") for own in folders)


def _findings(clients: list[subprocess.Popen[bytes]], folders: list[Path]) -> _Asked:
    told = []
    for client in clients:
        said, failed = client.communicate()
        if client.returncode:
            tail = "\n  ".join(failed.decode(errors="replace").splitlines()[-TAIL_LINES:])
            raise CommandFailed(f"a client ended with {client.returncode}:\n  {tail}")
        told.append(orjson.loads(said))
    for fault, count in sum((Counter(one["faults"]) for one in told), Counter[str]()).items():
        say(f"  {count:,} × {fault}")
    return _Asked(
        np.concatenate([np.fromfile(own / "answered", np.int64) for own in folders]),
        np.concatenate([np.fromfile(own / "seconds", np.float64) for own in folders]),
        max(one["s"] for one in told),
        sum(one["cpu_s"] for one in told),
        sum(one["dropped"] for one in told),
        sum(sum(one["faults"].values()) for one in told),
    )


def _landed(edge: Edge) -> tuple[Counter[int], int]:
    """How often each number stands in the landing folder; lines that are no JSON."""
    found: Counter[int] = Counter()
    torn = 0
    for path in edge.settings.landing.iterdir():
        for line in path.read_bytes().splitlines():
            try:
                found[int(orjson.loads(line)["uri"].partition("n=")[2])] += 1
            except ValueError:
                torn += 1
    return found, torn


def _server_cpu_s(edge: Edge) -> float:
    """Of master and workers alive; those that a reload ended are the master's waited-for children."""
    times = [one.cpu_times() for one in tree(edge.process.pid)]
    own = sum(one.user + one.system for one in times)
    return float(own + times[0].children_user + times[0].children_system)
