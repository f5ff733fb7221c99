"""A real HTTP server of lists: ETags, 304, and everything that goes wrong."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from ingest.logs.agents import OPAWG_LISTS
from ingest.reference.refresh import Refreshed, refresh
from ingest.settings import Settings
from tests.ingest.samples import NOW_US

Agents = dict[str, list[dict[str, Any]]]


@dataclass
class Page:
    """What the server says at a path."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    etag: str | None = None  # by default a hash of the body, in quotes
    claimed_length: int | None = None  # a body shorter than this was cut off

    @property
    def tag(self) -> str:
        return self.etag or f'"{hashlib.sha256(self.body).hexdigest()[:16]}"'


class ListServer:
    """Pages by path; `asked` keeps the request headers."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.asked: list[tuple[str, Message]] = []
        self.answered: list[int] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def put(self, path: str, body: bytes | str, **more: object) -> None:
        content = body.encode() if isinstance(body, str) else body
        self.pages[path] = Page(content, **more)  # type: ignore[arg-type]

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@contextmanager
def serving() -> Iterator[ListServer]:
    """A server on a port of its own, until the test is over."""
    server = ListServer()
    try:
        yield server
    finally:
        server.close()


def _handler(server: ListServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked.append((self.path, self.headers))
            page = server.pages.get(self.path, Page(b"not here", 404))
            known = self.headers.get("If-None-Match")
            status = 304 if page.status == 200 and known is not None and known == page.tag else page.status
            server.answered.append(status)
            self.send_response(status)
            if status in (200, 304):
                self.send_header("ETag", page.tag)
            for name, value in page.headers.items():
                self.send_header(name, value)
            body = b"" if status == 304 else page.body
            self.send_header("Content-Length", str(page.claimed_length or len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Silence."""

    return Handler


def put_agents(server: ListServer, agents: Agents) -> None:
    for name in OPAWG_LISTS:
        server.put(f"/src/{name}.json", json.dumps({"comments": [], "entries": agents[name]}))


def settings_for(tmp_path: Path, toml: str, **values: Any) -> Settings:
    settings = Settings(data=tmp_path / "data", settle_s=0, **values)
    settings.data.mkdir(parents=True, exist_ok=True)
    (settings.data / "reference.toml").write_text(toml)
    return settings


def look(settings: Settings, name: str, now_us: int = NOW_US, **options: Any) -> Refreshed:
    (found,) = refresh(settings, [name], now_us=now_us, **options)
    return found
