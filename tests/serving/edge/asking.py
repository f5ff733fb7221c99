"""Asks a server for exactly the bytes that a test means: no client in between mends them."""

from __future__ import annotations

import socket
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """status 0: the connection was closed without one."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def location(self) -> str | None:
        return self.headers.get("location")


def ask(
    port: int,
    target: str | bytes,
    method: str = "GET",
    host: str = "pfx.example.net",
    headers: tuple[str, ...] = (),
    address: str = "127.0.0.1",
) -> Answer:
    """One request on a connection of its own; `target` goes into the request line as it is."""
    raw = target.encode("latin-1") if isinstance(target, str) else target
    head = "".join(f"\r\n{line}" for line in (f"Host: {host}", "Connection: close", *headers))
    with socket.create_connection((address, port), timeout=20) as connection:
        connection.sendall(method.encode() + b" " + raw + b" HTTP/1.1" + head.encode("latin-1") + b"\r\n\r\n")
        received = b""
        while block := connection.recv(65_536):
            received += block
    top, _, body = received.partition(b"\r\n\r\n")
    lines = top.decode("latin-1").split("\r\n")
    if not lines[0].startswith("HTTP/"):
        return Answer(0, {}, received)
    pairs = [line.partition(":") for line in lines[1:]]
    names = [name.lower() for name, _, _ in pairs]
    assert len(set(names)) == len(names), f"a header stands twice: {lines}"
    return Answer(int(lines[0].split()[1]), {name.lower(): value.strip() for name, _, value in pairs}, body)
