"""Requests for feeds, as the bare server of the worlds takes them."""

from __future__ import annotations

from typing import NamedTuple

from earshot.made_up import http
from earshot.made_up.http import BadRequest, Wire

MAX_HEAD = 16_384  # bytes of a request
_END = b"\r\n\r\n"


class Request(NamedTuple):
    """What decides the answer; header values byte for byte, None where there is none."""

    method: bytes
    host: bytes  # lower case, without port
    path: bytes
    if_none_match: bytes | None
    if_modified_since: bytes | None
    gzip: bool  # accepted


Play = http.Play[Request]


def cut(buffer: bytes) -> tuple[Request, int] | None:
    """The first request of what came; see earshot.made_up.http."""
    end = buffer.find(_END)
    if end < 0:
        if len(buffer) > MAX_HEAD:
            raise BadRequest
        return None
    return parse(buffer[:end]), end + len(_END)


def parse(text: bytes) -> Request:
    """The request of a head without its empty line. Raises BadRequest: no GET or HEAD, no Host."""
    lines = text.split(b"\r\n")
    words = lines[0].split(b" ")
    if len(words) != 3 or words[0] not in (b"GET", b"HEAD"):
        raise BadRequest
    host = none_match = modified_since = None
    gzip = False
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        name = name.lower()
        if name == b"host":
            host = value.strip().partition(b":")[0].lower()
        elif name == b"if-none-match":
            none_match = value.strip()
        elif name == b"if-modified-since":
            modified_since = value.strip()
        elif name == b"accept-encoding":
            gzip = b"gzip" in value
    if host is None:
        raise BadRequest
    return Request(words[0], host, words[1], none_match, modified_since, gzip)


def serve_until_killed(play: Play, port: int) -> None:
    """Serves, and says `port N` when it listens; a HEAD is answered with the head alone."""

    def answer(request: Request) -> Wire:
        wire = play(request)
        if request.method == b"HEAD":
            return wire._replace(data=wire.data[: wire.data.find(_END) + len(_END)])
        return wire

    http.serve_until_killed(cut, answer, port)
