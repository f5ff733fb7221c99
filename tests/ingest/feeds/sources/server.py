"""A real HTTP server that answers as a directory or hub does, and in every way that goes wrong."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson

from ingest.feeds.sources.budget import Budget, Limits
from ingest.feeds.sources.calls import Calls, client

NOW_US = 1_780_000_000_000_000
NOW_S = NOW_US // 1_000_000


@dataclass
class Asked:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode()))


@dataclass
class Page:
    """An answer. `times`: the body so often; `claimed`: its Content-Length; `hangs`: no end of it comes."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 1
    claimed: int | None = None
    hangs: bool = False


def json_page(value: Any, **more: Any) -> Page:
    return Page(orjson.dumps(value), headers={"Content-Type": "application/json"}, **more)


Answering = Callable[[Asked], Page]


class Server:
    """`answer` decides; `asked` keeps what came."""

    def __init__(self) -> None:
        self.pages: dict[str, Page | Answering] = {}
        self.asked: list[Asked] = []
        self.closed = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def page(self, asked: Asked) -> Page:
        found = self.pages.get(asked.path, self.pages.get("*", Page(b"not here", 404)))
        return found if isinstance(found, Page) else found(asked)

    def close(self) -> None:
        self.closed.set()
        self._http.shutdown()
        self._http.server_close()


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()
    try:
        yield server
    finally:
        server.close()


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, parts.path, dict(parse_qsl(parts.query)), headers, body)
            server.asked.append(asked)
            page = server.page(asked)
            self.send_response(page.status)
            for name, value in page.headers.items():
                self.send_header(name, value)
            length = page.claimed if page.claimed is not None else len(page.body) * page.times
            self.send_header("Content-Length", str(length + page.hangs))
            self.end_headers()
            try:
                for _ in range(page.times):
                    self.wfile.write(page.body)
                if page.hangs:
                    server.closed.wait(30)
            except OSError:
                pass  # the client had enough

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            """Silence."""

    return Handler


class Clock:
    def __init__(self, now_us: int = NOW_US) -> None:
        self.now_us = now_us

    def __call__(self) -> int:
        return self.now_us

    def advance(self, seconds: float) -> None:
        self.now_us += int(seconds * 1_000_000)


def run(
    tmp_path: Path,
    use: Callable[[Calls], Awaitable[Any]],
    clock: Callable[[], int] | None = None,
    limits: Limits = Limits(100, 1000),
    **more: Any,
) -> Any:
    """What `use` returns, with calls of its own on the budget file in `tmp_path`."""

    async def used() -> Any:
        async with client("tests") as http:
            budget = Budget(tmp_path / "budgets.json", "source", limits)
            settings = {"total_s": 20.0, **more}
            return await use(Calls("source", http, budget, clock_us=clock or Clock(), **settings))

    return asyncio.run(used())
