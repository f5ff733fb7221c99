"""What Dagster's webserver lacks: other pages in the operator's browser may neither ask it nor show it.

It has no login, so whoever reaches it may do everything; who reaches it is decided by the address it listens
on, and by what stands before it. A browser on that machine reaches it too, whatever page it shows: † Dagster
runs a mutation of `GET /graphql?query=…` (a picture's address is enough to launch or end runs), answers to
any `Host` (a name that turns to 127.0.0.1 lets a strange page read all) and lets itself be framed.
"""

from __future__ import annotations

import importlib
import ipaddress
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_FRAMES = b"frame-ancestors 'none'"
_AWAY = (
    "Dagster's database does not answer: `earshot doctor` says why. Runs wait for it; load this page again."
)
_OURS = ("same-origin", "none")  # none: typed, or a bookmark


class WebserverGate:
    """ASGI middleware. `names`: hosts it is open under, beside localhost and written addresses."""

    def __init__(self, app: App, names: Iterable[str] = ()) -> None:
        self._app = app
        self._names = {"localhost", *(name.lower() for name in names if name)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        why = self._refusal(scope)
        if why and scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008, "reason": why[:120]})
        if why:
            return await _refused(send, why)

        failed: list[Message] = []

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _unframed(message.get("headers", ()))
            if failed or message.get("status") == 500:
                failed.append(message)  # why it failed is known once it is raised
            else:
                await send(message)

        try:
            await self._app(scope, receive, sent)
        except Exception as error:
            if failed and _is_database_away(error):
                return await _answered(send, 503, _AWAY)
            await _sent_all(send, failed)
            raise
        await _sent_all(send, failed)

    def _refusal(self, scope: Scope) -> str | None:
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get(b"host", "")
        if not self._is_known(host):
            return "this name is not known: open it by its address, or set EARSHOT_DAGSTER_URL to this one"
        is_page = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        asks = scope["path"].rstrip("/").endswith("/graphql")
        if is_page and asks and "query" in parse_qs(scope.get("query_string", b"").decode("latin-1")):
            return "questions are taken by POST only"
        if is_page and not asks:
            return None  # a link in an alert leads here from a mail program
        origin, site = headers.get(b"origin"), headers.get(b"sec-fetch-site")
        if (site and site not in _OURS) or (origin and urlsplit(origin).netloc != host):
            return "this was asked by another page"
        return None

    def _is_known(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in self._names:
            return True
        try:
            ipaddress.ip_address(name)  # no name: nobody else can make it lead here
        except ValueError:
            return False
        return True


def _unframed(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The answer's headers; its own policy stays, ours is one more of it."""
    return [*headers, (b"content-security-policy", _FRAMES), (b"x-frame-options", b"DENY")]


async def _sent_all(send: Send, messages: Iterable[Message]) -> None:
    for message in messages:
        await send(message)


def _is_database_away(error: BaseException | None) -> bool:
    """Is it, or the cause of it, a server that does not answer?"""
    from sqlalchemy.exc import OperationalError

    while error is not None and not isinstance(error, OperationalError):
        error = error.__cause__
    return error is not None


async def _refused(send: Send, why: str) -> None:
    await _answered(send, 403, f"Refused: {why}")


async def _answered(send: Send, status: int, words: str) -> None:
    body = f"{words}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": _unframed(headers)})
    await send({"type": "http.response.body", "body": body})


def install(host: str, dagster_url: str | None) -> None:
    """Put the gate before the app that `dagster-webserver` serves from now on in this process."""
    cli: Any = importlib.import_module("dagster_webserver.cli")
    made = cli.create_app_from_workspace_process_context
    names = [host, urlsplit(dagster_url).hostname or "" if dagster_url else ""]

    def gated(*arguments: Any, **named: Any) -> Any:
        return WebserverGate(made(*arguments, **named), names)

    cli.create_app_from_workspace_process_context = gated
