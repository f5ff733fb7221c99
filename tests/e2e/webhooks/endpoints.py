"""Endpoints for the tests of webhook commands: real servers in threads, each with its way to answer."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = tuple[int, bytes]
Way = Callable[[bytes], Answer]


def token(body: bytes) -> str:
    """Of a challenge."""
    return str(json.loads(body)["data"]["challenge"])


@contextlib.contextmanager
def endpoint(way: Way) -> Iterator[tuple[str, list[bytes]]]:
    """(its URL, the bodies it was sent)."""
    got: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            got.append(body)
            status, said = way(body)
            self.send_response(status)
            self.send_header("content-length", str(len(said)))
            if 300 <= status < 400:
                self.send_header("location", "/elsewhere")
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
