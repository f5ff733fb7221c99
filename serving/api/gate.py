"""The one layer around all routes: who asks, may it ask so often, is the answer known already, in what dress.

A stack of middlewares would do the same for several times the price: each costs every request a task or a
wrapped `send`. A request that is answered from memory, or with 304, meets nothing but this.
"""

from __future__ import annotations

import hashlib
import zlib
from collections import OrderedDict
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.api.authentication import caller_of
from serving.api.caller import Caller
from serving.api.core import Core
from serving.api.formats import negotiated
from serving.api.limits import Limiter
from serving.api.problems import Problem, unexpected
from serving.api.visit import KEY, Visit

_WANTED = frozenset(
    (b"authorization", b"accept", b"accept-encoding", b"if-none-match", b"content-length", b"x-forwarded-for")
)
_SECURITY = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
]
_SMALL = 1000  # bytes that are not worth packing
_GZIP_LEVEL = 5
_PACKED_TYPES = (
    b"application/json",
    b"application/problem",
    b"text/",
    b"image/svg",
    b"application/javascript",
)


@dataclass(slots=True)
class _Kept:
    """An answer in memory."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class _Memory:
    """Answers by ETag, the least used dropped first; up to so many bytes."""

    def __init__(self, limit: int) -> None:
        self._limit, self._bytes = limit, 0
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()

    def get(self, tag: bytes) -> _Kept | None:
        found = self._kept.get(tag)
        if found is not None:
            self._kept.move_to_end(tag)
        return found

    def put(self, tag: bytes, kept: _Kept) -> None:
        size = len(kept.body) + 1000
        if size > self._limit // 8 or tag in self._kept:
            return
        self._kept[tag] = kept
        self._bytes += size
        while self._bytes > self._limit:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= len(dropped.body) + 1000

    def clear(self) -> None:
        self._kept.clear()
        self._bytes = 0


class Gate:
    """ASGI middleware; see the module."""

    def __init__(self, app: ASGIApp, core: Core) -> None:
        self._app, self._core = app, core
        self._limiter = Limiter(core.settings)
        self._memory = _Memory(core.settings.cache_mb * 2**20)
        self._memory_of = -1  # the version whose answers are in memory
        # Answers also depend on the settings in force: other ones, other tags.
        seed = repr(sorted(core.settings.platform.model_dump().items())).encode()
        self._tags = hashlib.blake2b(seed, key=core.secret, digest_size=12)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            await self._answer(scope, receive, send)
        except Problem as problem:
            await problem.response()(scope, receive, _secured(send))

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name: value for name, value in scope["headers"] if name in _WANTED}
        core = self._core
        access, edition = core.book.current, core.marts.current
        caller = self._admitted(scope, headers, access)
        visit = Visit(
            core, caller, access, edition, scope["query_string"], negotiated(headers.get(b"accept", b""))
        )
        scope[KEY] = visit
        method = scope["method"]
        if method not in ("GET", "HEAD"):
            await self._pass(
                scope, _limited(receive, headers, core.settings.max_body_bytes), send, b"", False
            )
            return
        if method == "HEAD":
            scope["method"], send = "GET", _without_body(send)
        packs = b"gzip" in headers.get(b"accept-encoding", b"")
        tag = self._tag(visit, scope, packs) if edition else b""
        if tag:
            if edition and self._memory_of != edition.version:
                self._memory.clear()
                self._memory_of = edition.version
            if (match := headers.get(b"if-none-match")) and tag in match:
                await _send(send, 304, [(b"etag", tag), *_CACHING, *_SECURITY], b"")
                return
            if kept := self._memory.get(tag):
                await _send(send, kept.status, kept.headers, kept.body)
                return
        await self._pass(scope, receive, send, tag, packs)

    def _admitted(self, scope: Scope, headers: dict[bytes, bytes], access: Any) -> Caller:
        client = scope.get("client")
        connecting = client[0] if client else ""
        forwarded_for = headers.get(b"x-forwarded-for", b"").decode("latin-1")
        try:
            caller = caller_of(headers.get(b"authorization"), access)
        except Problem:
            self._limiter.admit(None, scope["path"], connecting, forwarded_for)
            raise
        self._limiter.admit(caller, scope["path"], connecting, forwarded_for)
        return caller

    def _tag(self, visit: Visit, scope: Scope, packs: bool) -> bytes:
        """A strong ETag: of publication, what the caller may see, question, and the answer's dress."""
        assert visit.edition is not None
        caller = visit.caller
        parts = (
            str(visit.edition.version),
            str(visit.access.revision),
            caller.tenant or "",
            ",".join(sorted(caller.scopes)),
            scope["path"],
            "&".join(sorted(visit.query.decode("latin-1").split("&"), key=_name)),
            f"{visit.accepted} {packs}",
        )
        digest = self._tags.copy()
        digest.update("\0".join(parts).encode("utf-8", "surrogatepass"))
        return f'"{visit.edition.version}-{digest.hexdigest()}"'.encode()

    async def _pass(self, scope: Scope, receive: Receive, send: Send, tag: bytes, packs: bool) -> None:
        """Let the routes answer; what they say of an error is a problem, too."""
        visit: Visit = scope[KEY]
        start: Message | None = None
        is_started = False

        async def dressed(message: Message) -> None:
            nonlocal start, is_started
            if message["type"] == "http.response.start":
                start = message
                return
            if start is None:
                await send(message)
                return
            first, start = start, None
            is_started = True
            headers: list[tuple[bytes, bytes]] = list(first["headers"])
            headers += _SECURITY
            if message.get("more_body"):
                await send({**first, "headers": headers})
                await send(message)
                return
            body, status = message.get("body", b""), first["status"]
            if packs and len(body) >= _SMALL:
                headers, body = _packed(headers, body)
            if tag and status == 200 and visit.is_reproducible:
                headers += [(b"etag", tag), *_CACHING]
                self._memory.put(tag, _Kept(status, headers, body))
            await send({**first, "headers": headers})
            await send({"type": "http.response.body", "body": body})

        try:
            await self._app(scope, receive, dressed)
        except Problem:
            raise
        except Exception as error:
            if is_started:
                raise
            raise unexpected(error, scope["path"]) from None


# A caller's copy is its own, and is asked about again: a newer publication may be there at any time.
_CACHING = [(b"cache-control", b"private, no-cache"), (b"vary", b"Authorization, Accept, Accept-Encoding")]


def _name(pair: str) -> str:
    return pair.partition("=")[0]


async def _send(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _packed(headers: list[tuple[bytes, bytes]], body: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    names = dict(headers)
    if b"content-encoding" in names or not names.get(b"content-type", b"").startswith(_PACKED_TYPES):
        return headers, body
    packer = zlib.compressobj(_GZIP_LEVEL, wbits=31)
    body = packer.compress(body) + packer.flush()
    kept = [pair for pair in headers if pair[0] != b"content-length"]
    return [*kept, (b"content-encoding", b"gzip"), (b"content-length", str(len(body)).encode())], body


def _secured(send: Send) -> Send:
    async def secured(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *_SECURITY]}
        await send(message)

    return secured


def _without_body(send: Send) -> Send:
    async def headers_only(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return headers_only


def _limited(receive: Receive, headers: dict[bytes, bytes], limit: int) -> Receive:
    """Refuses a body that is too large as soon as that is known. Raises Problem: 413."""
    too_large = Problem(413, "The body is too large", f"A body may have {limit:,} bytes: send it in parts")
    said = headers.get(b"content-length", b"")
    if said.isdigit() and int(said[:20]) > limit:
        raise too_large
    received = 0

    async def counted() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise too_large
        return message

    return counted
