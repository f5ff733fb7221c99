"""Some of the demo's prefix requests really go through nginx, as `earshot edge render` sets it up.

The world has times and listeners of its own. Both are told in headers: the demo's configuration believes
X-Forwarded-For as one behind a load balancer does, and the time as no other does. All else is nginx's: who is
redirected where, and the line that is taken in.
"""

from __future__ import annotations

import http.client
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from isal import igzip

from earshot.made_up import edge as edges
from earshot.made_up.world import LogFile, World
from earshot.made_up.world_formats import Request, writer
from ingest.settings import Settings
from serving.edge.render import Times
from serving.edge.rotate import rotate
from serving.edge.server import EdgeError

MOST_FILES = 4
_PATIENCE_S = 10.0
_TIMES = Times(ended="$http_demo_ended", took="$http_demo_took")


def through_nginx(world: World, landing: Path) -> int:
    """Rewrites a few of the world's prefix files with nginx's lines; how many those are, 0 where none runs.

    The requests, their order and their times stay the same, and so does the truth.
    """
    files = list(_whole_files(world))[:MOST_FILES]
    if not files or not edges.is_there():
        return 0
    hosts = {request.target.host for file in files for request in file.requests}
    with (
        tempfile.TemporaryDirectory(prefix="earshot-edge-") as folder,
        edges.running(
            Settings(data=Path(folder)),
            *hosts,
            times=_TIMES,
            rate=0,
            workers=1,
            trusted_proxies="127.0.0.0/8",
        ) as edge,
    ):
        return sum(_sent(world, file, landing / file.source / file.name, edge) for file in files)


def _whole_files(world: World) -> Iterator[LogFile]:
    """Those without damage and repetition: what they hold was asked once."""
    copied = {file.copy_of for file in world.files}
    for file in world.files:
        is_odd = file.copy_of or file.name in copied or file.repeats or file.damages
        if file.log_format == "prefix" and not is_odd:
            yield file


def _sent(world: World, file: LogFile, path: Path, edge: edges.Edge) -> int:
    """Asks for the file's requests that a prefix answers with a redirect; other lines stay as they are."""
    asked = [request for request in file.requests if _is_redirected(request)]
    connection = http.client.HTTPConnection("127.0.0.1", edge.port, timeout=30)
    for request in asked:
        _ask(connection, request)
    connection.close()
    written = _written(edge, len(asked))
    line_of, lines = writer(file.log_format, world.spec.seed), iter(written)
    every = [next(lines) if _is_redirected(one) else line_of(one).encode() for one in file.requests]
    landed = path.stat().st_mtime
    path.write_bytes(igzip.compress(b"\n".join(every) + b"\n", 1, mtime=0))
    os.utime(path, (landed, landed))
    return len(written)


def _written(edge: edges.Edge, wanted: int) -> list[bytes]:
    """nginx's lines of one file's requests; it writes them once it has answered. Raises EdgeError."""
    lines: list[bytes] = []
    give_up = time.monotonic() + _PATIENCE_S
    while len(lines) < wanted and time.monotonic() < give_up:
        lines += [line for path in rotate(edge.settings).published for line in path.read_bytes().splitlines()]
        time.sleep(0.01)
    if len(lines) != wanted:
        raise EdgeError(f"{wanted} requests made {len(lines)} lines")
    return lines


def _is_redirected(request: Request) -> bool:
    is_plain = request.query.isascii() and request.query.isprintable() and " " not in request.query
    return request.status == 302 and request.method in ("GET", "HEAD") and is_plain


def _ask(connection: http.client.HTTPConnection, request: Request) -> None:
    connection.putrequest(request.method, request.query, skip_accept_encoding=True)
    ended, took = request.start_ms + request.dur_ms, request.dur_ms
    for name, value in (
        ("X-Forwarded-For", request.ip),
        ("Demo-Ended", f"{ended // 1000}.{ended % 1000:03}"),
        ("Demo-Took", f"{took // 1000}.{took % 1000:03}"),
        ("User-Agent", request.agent),
        ("Range", request.asked),
        ("Referer", request.referrer),
    ):
        if value:
            connection.putheader(name, value.encode())
    connection.endheaders()
    answer = connection.getresponse()
    answer.read()
    if answer.status != 302:
        raise EdgeError(f"nginx answered {answer.status} to {request.query}")
