"""The prefix on this machine, for demo, benches and tests: a real nginx on a free port."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

from ingest.logs.prefixes import PrefixRules, own_prefix_hosts
from ingest.settings import Settings
from serving.edge.hosts import hosts_of
from serving.edge.place import Placed, place, prepare, worker_user
from serving.edge.render import Times, render
from serving.edge.server import EdgeError, nginx, start_command
from serving.edge.settings import EdgeSettings

_START_S, _END_S = 30.0, 10.0


@dataclass(frozen=True)
class Edge:
    """One that runs, on 127.0.0.1:port."""

    settings: EdgeSettings
    port: int
    process: subprocess.Popen[bytes]
    prefixes: PrefixRules

    def put(self, *hosts: str) -> bool:
        """Put a configuration for these hosts in place; whether nginx was told."""
        return _put(self.settings, hosts, self.prefixes, "", Times()).is_reloaded


def is_there() -> bool:
    """Is an nginx installed?"""
    try:
        return bool(nginx(EdgeSettings()))
    except EdgeError:
        return False


@contextlib.contextmanager
def running(
    platform: Settings,
    *hosts: str,
    log_options: str = "",
    times: Times = Times(),
    on_ipv6: bool = False,
    **given: object,
) -> Iterator[Edge]:
    """`given`: EdgeSettings. Raises EdgeError where it does not start."""
    port = free_port()
    listen = f"127.0.0.1:{port}" + (f",[::1]:{port}" if on_ipv6 else "")
    settings = EdgeSettings.model_validate({"platform": platform, "listen": listen, **given})
    prepare(settings)
    prefixes = PrefixRules.built_in(own_prefix_hosts(platform))
    _put(settings, hosts, prefixes, log_options, times)
    process = start(settings)
    try:
        until_it_answers(settings, port, process)
        yield Edge(settings, port, process, prefixes)
    finally:
        stop(process)


def _put(
    settings: EdgeSettings,
    hosts: tuple[str, ...],
    prefixes: PrefixRules,
    log_options: str,
    times: Times,
) -> Placed:
    rendered = render(settings, hosts_of(hosts).names, prefixes, worker_user(settings), log_options, times)
    return place(settings, rendered)


def start(settings: EdgeSettings) -> subprocess.Popen[bytes]:
    """nginx in the foreground, a child of ours."""
    return subprocess.Popen([*start_command(settings), "-g", "daemon off;"], stderr=subprocess.DEVNULL)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends it with its workers."""
    process.terminate()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def until_it_answers(settings: EdgeSettings, port: int, process: subprocess.Popen[bytes]) -> None:
    """Raises EdgeError with the end of its log."""
    log = settings.folder / "log" / "error.log"
    give_up = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < give_up:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    stop(process)
    said = log.read_text(errors="replace") if log.exists() else ""
    raise EdgeError(f"nginx does not start on port {port}: {said[-1000:]}")
