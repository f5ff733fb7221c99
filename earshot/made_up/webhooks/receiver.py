"""Plays the endpoints of webhooks over HTTP, as a process of its own, and logs each request as it answers.

    python -m earshot.made_up.webhooks.receiver --endpoints FILE --log FILE [--port P]

FILE says how the endpoint at /e/<name> behaves (earshot.made_up.webhooks.endpoints). Signatures are verified
with the official library. The first line of output is `port N` once it listens.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from standardwebhooks import Webhook

from earshot.made_up.http import BadRequest, Wire, serve_until_killed
from earshot.made_up.process import started
from earshot.made_up.webhooks.endpoints import (
    PATH,
    Endpoint,
    answer,
    read_endpoints,
    said,
    write_endpoints,
)

MAX_HEAD = 16_384  # bytes
MAX_BODY = 1_000_000  # bytes; far more than a webhook has
CHALLENGE = "webhook.challenge"
_END = b"\r\n\r\n"
_SIGNED = (b"webhook-id", b"webhook-timestamp", b"webhook-signature")


class Request(NamedTuple):
    """A POST; header names in lower case, values as they came."""

    path: str
    headers: dict[bytes, bytes]
    body: bytes


class Received(NamedTuple):
    """A line of the log: a request as it was answered."""

    at_us: int  # when it was there as a whole
    endpoint: str
    message_id: str
    attempt: int  # 0: it did not say
    type: str
    events: list[list[int]]  # [podcast_key, sequence] of each change told, coalesced ones too, oldest first
    status: int  # 0: nothing was answered
    is_verified: bool


def cut(buffer: bytes) -> tuple[Request, int] | None:
    """The first request of what came; see earshot.made_up.http."""
    end = buffer.find(_END)
    if end < 0:
        if len(buffer) > MAX_HEAD:
            raise BadRequest
        return None
    first, *lines = buffer[:end].split(b"\r\n")
    words = first.split(b" ")
    if len(words) != 3 or words[0] != b"POST":
        raise BadRequest
    headers = {}
    for line in lines:
        name, _, value = line.partition(b":")
        headers[name.lower()] = value.strip()
    length = headers.get(b"content-length", b"")
    if not length.isdigit() or len(length) > 9 or int(length) > MAX_BODY:
        raise BadRequest
    begin, end = end + len(_END), end + len(_END) + int(length)
    if len(buffer) < end:
        return None
    return Request(words[1].decode("latin-1"), headers, buffer[begin:end]), end


class Receiver:
    """Answers for all endpoints, and logs."""

    def __init__(self, endpoints: Path, log: Path) -> None:
        self._path, self._version = endpoints, (0, 0)
        self._endpoints: dict[str, Endpoint] = {}
        self._keys: dict[str, Webhook] = {}  # by secret
        self._numbers: Counter[str] = Counter()
        # One write a line, so that a reader sees whole lines and a killed receiver has lost none.
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def __call__(self, request: Request) -> Wire:
        at_us = time.time_ns() // 1000
        self._read_endpoints()
        path = request.path.partition("?")[0]
        name = path.removeprefix(PATH)
        endpoint = self._endpoints.get(name) if path.startswith(PATH) else None
        is_verified = endpoint is not None and self._is_verified(endpoint, request)
        payload = _payload(request.body)
        kind = str(payload.get("type", ""))
        if endpoint is None:
            status, wire = 404, said(404, b"there is no such endpoint")
        elif not is_verified:
            status, wire = 401, said(401, b"the signature is wrong")
        elif kind == CHALLENGE:
            status, wire = 200, said(200, _challenged(payload), "application/json")
        else:
            status, wire = answer(endpoint, path, self._numbers[name], at_us / 1e6)
            self._numbers[name] += 1
        message_id = request.headers.get(b"webhook-id", b"").decode("latin-1")
        attempt = request.headers.get(b"webhook-attempt", b"")
        number = int(attempt) if attempt.isdigit() else 0
        line = Received(at_us, name, message_id, number, kind, _events(payload), status, is_verified)
        os.write(self._log, orjson.dumps(tuple(line)) + b"\n")
        return wire

    def _read_endpoints(self) -> None:
        stat = self._path.stat()
        version = (stat.st_ino, stat.st_mtime_ns)
        if version != self._version:
            self._endpoints, self._version = read_endpoints(self._path), version
            secrets = {secret for endpoint in self._endpoints.values() for secret in endpoint.secrets}
            self._keys = {secret: Webhook(secret) for secret in secrets}

    def _is_verified(self, endpoint: Endpoint, request: Request) -> bool:
        headers = {
            name.decode(): value.decode("latin-1")
            for name in _SIGNED
            if (value := request.headers.get(name)) is not None
        }
        for secret in endpoint.secrets:
            try:
                self._keys[secret].verify(request.body, headers, json_parse=False)
            except Exception:  # the library lets through what a hostile header makes of its parsing
                continue
            return True
        return not endpoint.secrets


def _payload(body: bytes) -> dict[str, Any]:
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return payload if isinstance(payload, dict) else {}


def _events(payload: dict[str, Any]) -> list[list[int]]:
    try:
        data = payload["data"]
        if "events" in data:
            return [event for one in data["events"] for event in _events(one)]
        key = int(data["podcast"]["key"])
        return [[key, sequence] for sequence in (*data.get("coalesced", ()), data["sequence"])]
    except (KeyError, TypeError, ValueError):  # a notice, or none of ours
        return []


def _challenged(payload: dict[str, Any]) -> bytes:
    data = payload.get("data")
    token = data.get("challenge") if isinstance(data, dict) else None
    return orjson.dumps({"challenge": token})


class Log:
    """The log of a receiver, read as it grows."""

    def __init__(self, path: Path) -> None:
        self._path, self._read = path, 0

    def more(self) -> list[Received]:
        """What was received since the last call."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._read)
            lines = file.read()
        whole = lines[: lines.rfind(b"\n") + 1]
        self._read += len(whole)
        return [Received(*orjson.loads(line)) for line in whole.splitlines()]


@dataclass
class Receiving:
    """A receiver that runs."""

    port: int
    pid: int
    endpoints: Path
    log: Path

    def url(self, name: str, host: str = "127.0.0.1") -> str:
        """Of an endpoint; another `host` must lead to 127.0.0.1 by a resolve map, which knows the port."""
        return f"http://{host}:{self.port}{PATH}{name}"

    def become(self, endpoints: Mapping[str, Endpoint]) -> None:
        """From the next request on."""
        write_endpoints(self.endpoints, endpoints)

    def received(self) -> list[Received]:
        """All requests so far."""
        return Log(self.log).more()


@contextmanager
def receiving(endpoints: Mapping[str, Endpoint], folder: Path, port: int = 0) -> Iterator[Receiving]:
    """A receiver as a process, its files in `folder`, until the block ends."""
    file, log = folder / "endpoints.json", folder / "received.jsonl"
    write_endpoints(file, endpoints)
    arguments = ["--endpoints", str(file), "--log", str(log), "--port", str(port)]
    with started("earshot.made_up.webhooks.receiver", *arguments) as (listening, process):
        yield Receiving(listening, process.pid, file, log)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m earshot.made_up.webhooks.receiver", description=__doc__)
    parser.add_argument("--endpoints", type=Path, required=True, help="JSON file of how they behave")
    parser.add_argument("--log", type=Path, required=True, help="file to which requests are appended")
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args()
    serve_until_killed(cut, Receiver(given.endpoints, given.log), given.port)


if __name__ == "__main__":
    main()
