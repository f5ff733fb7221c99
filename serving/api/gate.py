"""The one layer around all routes: who asks, may it ask so often, is the answer known already, in what dress.

A stack of middlewares would do the same for several times the price. A request that is answered from memory,
or with 304, meets nothing but this; no other part of the API need know of ETags, gzip or limits.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import MutableMapping
from typing import Any

from isal import isal_zlib
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from registry.api_keys import note_use
from serving.api import metrics
from serving.api.access import Access
from serving.api.authentication import Authentication, is_new_key
from serving.api.caller import Caller
from serving.api.core import Core
from serving.api.formats import negotiated, unpacks_gzip
from serving.api.limits import Limiter
from serving.api.marts import Edition
from serving.api.memory import Headers, Kept, Memory
from serving.api.problems import Problem, registry_away, unexpected
from serving.api.visit import KEY, Visit

_WANTED = frozenset(
    (
        b"authorization", b"cookie", b"accept", b"accept-encoding", b"if-none-match", b"content-length",
        b"x-forwarded-for",
    )
)  # fmt: skip
# Pages and the documentation say their own policy.
_POLICY = b"content-security-policy"
_SECURITY: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
]
_API_SECURITY: Headers = [*_SECURITY, (_POLICY, b"default-src 'none'; frame-ancestors 'none'")]
# A caller's copy is its own, and is asked about again: a newer publication may be there at any time.
_CACHING: Headers = [
    (b"cache-control", b"private, no-cache"),
    (b"vary", b"Authorization, Cookie, Accept, Accept-Encoding"),
]
# Who sends a byte now and then would else hold a connection for ever. Headers granian ends after 30 s.
BODY_WAIT_S, BODY_S = 10.0, 300.0
_SMALL = 1000  # bytes that are not worth packing
_PACKED_TYPES = (b"application/json", b"application/problem", b"text/", b"image/svg")
_GZIP = 31  # zlib's word for it
_DAY_S = 86_400
_PATHSEND = "http.response.pathsend"


class Gate:
    """ASGI middleware; see the module."""

    def __init__(self, app: ASGIApp, core: Core) -> None:
        self._app, self._core = app, core
        self._authentication = Authentication(core.secret)
        self._limiter = Limiter(core.settings)
        self._memory = Memory(core.settings.cache_mb * 2**20)
        self._used: dict[int, int] = {}  # key → the day its use was noted
        # Answers also depend on the settings in force: other ones, other tags.
        seed = repr(sorted(core.settings.platform.model_dump().items())).encode()
        self._tags = hashlib.blake2b(seed, key=core.secret, digest_size=12)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # A server that sends files by itself would send them past the dress; our files are small.
        scope["extensions"] = {
            name: value for name, value in (scope.get("extensions") or {}).items() if name != _PATHSEND
        }
        started, method, status = time.perf_counter(), scope["method"], 500

        async def seen(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif method == "HEAD":
                message = {**message, "body": b""}
            await send(message)

        try:
            await self._answer(scope, receive, seen)
        except Problem as problem:
            await problem.response()(scope, receive, _secured(seen))
        finally:
            visit: Visit | None = scope.get(KEY)
            metrics.count(method, visit.route if visit else "", status, time.perf_counter() - started)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        core, method = self._core, scope["method"]
        headers = {name: value for name, value in scope["headers"] if name in _WANTED}
        access, edition = core.book.current, core.marts.current
        is_safe = method in ("GET", "HEAD")
        try:
            caller = self._admitted(scope, headers, access, is_safe)
        except Problem as problem:
            if problem.status != 401 or not is_new_key(headers.get(b"authorization"), access):
                raise
            if (newer := await core.book.newer(access)) is None:
                raise (registry_away("Which keys there are") if core.book.is_behind else problem) from None
            access = newer
            caller = self._admitted(scope, headers, access, is_safe)
        visit = Visit(
            core, caller, access, edition, scope["query_string"], negotiated(headers.get(b"accept", b""))
        )
        scope[KEY] = visit
        if not is_safe:
            body = _Limited(receive, headers, core.settings.max_body_bytes)
            body.check()
            await self._pass(scope, body, send, b"", False)
            return
        scope["method"] = "GET"
        packs = unpacks_gzip(headers.get(b"accept-encoding", b""))
        tag = b""
        if edition is not None:
            self._memory.begin(edition.identity)
            tag = self._tag(visit, scope["path"], edition, packs)
            if (match := headers.get(b"if-none-match")) and tag in match:
                visit.route = metrics.NOT_MODIFIED
                # No policy: browsers would put it over that of the page they have.
                await _send(send, 304, [(b"etag", tag), *_CACHING], b"")
                return
            if kept := self._memory.get(tag):
                visit.route = kept.route
                await _send(send, 200, kept.headers, kept.body)
                return
        await self._pass(scope, receive, send, tag, packs)

    def _admitted(self, scope: Scope, headers: dict[bytes, bytes], access: Access, is_safe: bool) -> Caller:
        """Raises Problem: 401, 429."""
        client = scope.get("client")
        connecting = client[0] if client else ""
        forwarded_for = headers.get(b"x-forwarded-for", b"")
        try:
            caller = self._authentication.caller_of(
                headers.get(b"authorization"), headers.get(b"cookie"), access, is_safe
            )
        except Problem:
            self._limiter.admit(None, scope["path"], connecting, forwarded_for)
            raise
        self._limiter.admit(caller, scope["path"], connecting, forwarded_for)
        if caller.key_id is not None:
            self._note_use(caller.key_id)
        return caller

    def _note_use(self, key_id: int) -> None:
        today = int(time.time()) // _DAY_S
        if self._used.get(key_id) != today:
            self._used[key_id] = today
            with contextlib.suppress(RuntimeError):  # the pool is shut down already
                self._core.pool.submit(_noted, self._core, key_id)

    def _tag(self, visit: Visit, path: str, edition: Edition, packs: bool) -> bytes:
        """A strong ETag: of publication, what the caller may see, question, and the answer's dress."""
        caller = visit.caller
        query = visit.query.decode("latin-1")
        parts = (
            edition.identity,
            str(visit.access.revision),
            caller.tenant or "",
            "".join(sorted(caller.scopes)),
            caller.only_show or "",
            path,
            "&".join(sorted(query.split("&"), key=_name)) if "&" in query else query,
            visit.accepted or "",
            "gzip" if packs else "",
        )
        digest = self._tags.copy()
        digest.update("\0".join(parts).encode("utf-8", "surrogatepass"))
        return f'"{edition.version}-{digest.hexdigest()}"'.encode()

    async def _pass(self, scope: Scope, receive: Receive, send: Send, tag: bytes, packs: bool) -> None:
        """Let the routes answer, and dress what they say. Raises Problem: 500 for the unexpected."""
        visit: Visit = scope[KEY]
        start: Message | None = None
        is_started = False

        async def dressed(message: Message) -> None:
            nonlocal start, is_started
            if message["type"] == "http.response.start":
                start = message  # held back until it is known how long the body is
                return
            if isinstance(receive, _Limited) and receive.is_refused and not is_started:
                return  # FastAPI makes a 400 of what fails while it reads
            if start is None:
                await send(message)
                return
            first, start, is_started = start, None, True
            headers: Headers = [*first["headers"], *_missing_security(first["headers"])]
            body = message.get("body", b"")
            if message.get("more_body"):
                await send({**first, "headers": headers})
                await send(message)
                return
            if packs and len(body) >= _SMALL:
                headers, body = _packed(headers, body)
            if visit.is_reproducible and tag and first["status"] == 200:
                headers += [(b"etag", tag), *_CACHING]
                self._memory.put(tag, Kept(headers, body, visit.route))
            await send({**first, "headers": headers})
            await send({"type": "http.response.body", "body": body})

        try:
            await self._app(scope, receive, dressed)
        except Problem:
            raise
        except Exception as error:
            if is_started:
                raise  # too late for another answer: the connection breaks off
            raise unexpected(error, scope["path"]) from None
        if isinstance(receive, _Limited) and not is_started:
            receive.check()


def _noted(core: Core, key_id: int) -> None:
    # Nobody waits for it, and nothing hangs on it.
    with contextlib.suppress(Exception):
        note_use(core.engine, key_id, time.time_ns() // 1000)


def _name(pair: str) -> str:
    return pair.partition("=")[0]


async def _send(send: Send, status: int, headers: Headers, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _missing_security(headers: Headers) -> Headers:
    return _SECURITY if any(name == _POLICY for name, _ in headers) else _API_SECURITY


def _packed(headers: Headers, body: bytes) -> tuple[Headers, bytes]:
    names = dict(headers)
    if b"content-encoding" in names or not names.get(b"content-type", b"").startswith(_PACKED_TYPES):
        return headers, body
    packer = isal_zlib.compressobj(level=2, wbits=_GZIP)
    body = packer.compress(body) + packer.flush()
    kept = [pair for pair in headers if pair[0] != b"content-length"]
    return [*kept, (b"content-encoding", b"gzip"), (b"content-length", str(len(body)).encode())], body


def _secured(send: Send) -> Send:
    async def secured(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *_API_SECURITY]}
        await send(message)

    return secured


class _Limited:
    """A body that is refused as soon as it is known to be too large, or comes too slowly."""

    def __init__(self, receive: Receive, headers: dict[bytes, bytes], limit: int) -> None:
        self._receive, self._limit, self._received = receive, limit, 0
        self._until, self._is_whole, self._is_late = time.monotonic() + BODY_S, False, False
        said = headers.get(b"content-length", b"")
        if said.isdigit() and int(said[:20]) > limit:
            self._received = limit + 1

    async def __call__(self) -> Message:
        self.check()
        if self._is_whole:
            return await self._receive()  # until the caller hangs up
        try:
            wait_s = min(BODY_WAIT_S, self._until - time.monotonic())
            message = await asyncio.wait_for(self._receive(), wait_s)
        except TimeoutError:
            self._is_late = True
        else:
            self._received += len(message.get("body", b""))
            self._is_whole = not message.get("more_body")
        self.check()
        return message

    @property
    def is_refused(self) -> bool:
        return self._is_late or self._received > self._limit

    def check(self) -> None:
        """Raises Problem: 408, 413."""
        if self._is_late:
            raise Problem(
                408,
                "The body came too slowly",
                f"It must go on within {BODY_WAIT_S:g} s, and be whole within {BODY_S:g} s",
            )
        if self.is_refused:
            raise Problem(413, "The body is too large", f"A body has {self._limit:,} bytes at most")
