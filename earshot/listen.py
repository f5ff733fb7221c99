"""An endpoint for those who develop one: checks every webhook it is sent and says what it was."""

from __future__ import annotations

import asyncio
import signal
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

CHALLENGE = "webhook.challenge"
MAX_BODY_BYTES = 100_000  # five times what is ever sent
_REMEMBERED = 100_000  # ids of messages taken before
_BODY_S = 15.0  # for a request to arrive in


@dataclass(frozen=True)
class Behaviour:
    """How events are answered; a challenge is always answered well."""

    status: int = 204
    failures: int | None = None  # each message's first so many requests; None: all
    delay_s: float = 0


@dataclass(frozen=True)
class Heard:
    """One request, and what it was answered."""

    at: str  # ISO, UTC
    status: int  # answered
    why: str | None = None  # it was refused
    type: str | None = None
    webhook_id: str | None = None
    attempt: int | None = None
    is_duplicate: bool = False  # a request of the same message was answered 2xx before
    podcast_key: str | None = None  # decimal; None: a batch or a notice
    podcast_title: str | None = None
    sequence: int | None = None
    events: int | None = None  # of a batch
    payload: dict[str, Any] | None = None  # as sent

    def as_json(self) -> str:
        return orjson.dumps(
            {name: value for name, value in asdict(self).items() if value is not None}
        ).decode()

    def as_line(self) -> str:
        """For people."""
        time = self.at[11:19]
        if self.why is not None:
            return f"{time} refused, {self.status}: {self.why}"
        about = [f"{time} {self.type}"]
        if self.events is not None:
            about.append(f"{self.events} events")
        if self.podcast_key is not None:
            title = f"{self.podcast_title!r} " if self.podcast_title else ""
            about.append(f"podcast {title}{self.podcast_key}, sequence {self.sequence}")
        about += [f"attempt {self.attempt}"] if self.attempt is not None else []
        about += [str(self.webhook_id), f"answered {self.status}"]
        about += ["DUPLICATE: this webhook-id was taken before"] if self.is_duplicate else []
        return ", ".join(about)


@dataclass
class Listener:
    """Judges requests signed with `secret`; tells each as `Heard`."""

    secret: str
    tell: Callable[[Heard], None]
    behaviour: Behaviour = Behaviour()
    _taken: OrderedDict[str, bool] = field(default_factory=OrderedDict)
    _failed: OrderedDict[str, int] = field(default_factory=OrderedDict)

    def hear(self, headers: Mapping[str, str], body: bytes) -> tuple[Heard, bytes]:
        """What the request is, and the body of its answer."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        try:
            payload = self._verified(headers, body)
        except (WebhookVerificationError, ValueError) as error:
            return Heard(at, 401, f"not signed with this secret: {error or type(error).__name__}"), b""
        message_id = headers["webhook-id"]
        kind = str(payload.get("type"))
        data = _object(payload.get("data"))
        if kind == CHALLENGE:
            answer = orjson.dumps({"challenge": data.get("challenge")})
            return Heard(at, 200, type=kind, webhook_id=message_id, payload=payload), answer
        status = self._status(message_id)
        is_duplicate = message_id in self._taken
        if 200 <= status < 300:
            _remember(self._taken, message_id, True)
        podcast = _object(data.get("podcast"))
        heard = Heard(
            at,
            status,
            type=kind,
            webhook_id=message_id,
            attempt=_number(headers.get("webhook-attempt")),
            is_duplicate=is_duplicate,
            podcast_key=podcast.get("key"),
            podcast_title=podcast.get("title"),
            sequence=data.get("sequence"),
            events=data.get("count"),
            payload=payload,
        )
        return heard, b""

    def _verified(self, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        """Raises WebhookVerificationError or ValueError."""
        wanted = {name: headers.get(name, "") for name in _SIGNED}
        if missing := [name for name, value in wanted.items() if not value]:
            raise WebhookVerificationError(f"no header {', '.join(missing)}")
        Webhook(self.secret).verify(body, wanted, json_parse=False)
        payload = orjson.loads(body)  # unlike json it does not recurse without end
        if not isinstance(payload, dict):
            raise ValueError("the body is no JSON object")
        return payload

    def _status(self, message_id: str) -> int:
        """What the message is answered now."""
        if self.behaviour.failures is None:
            return self.behaviour.status
        failed = self._failed.get(message_id, 0)
        if failed < self.behaviour.failures:
            _remember(self._failed, message_id, failed + 1)
            return self.behaviour.status
        return Behaviour.status

    async def answer(self, request: web.Request) -> web.Response:
        """The handler of every path."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        if request.method != "POST":
            return self._refuse(Heard(at, 405, f"{request.method} instead of POST"))
        try:
            async with asyncio.timeout(_BODY_S):
                body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return self._refuse(Heard(at, 413, f"more than {MAX_BODY_BYTES:,} bytes"))
        except TimeoutError:
            return self._refuse(Heard(at, 408, f"it did not arrive whole within {_BODY_S:g} s"))
        heard, answer = self.hear(request.headers, body)
        if heard.why is not None:
            return self._refuse(heard)
        if heard.type != CHALLENGE:
            await asyncio.sleep(self.behaviour.delay_s)
        self.tell(heard)
        content_type = "application/json" if answer else "text/plain"
        return web.Response(status=heard.status, body=answer, content_type=content_type)

    def _refuse(self, heard: Heard) -> web.Response:
        self.tell(heard)
        return web.Response(status=heard.status, text=f"{heard.why}\n")


_SIGNED = ("webhook-id", "webhook-timestamp", "webhook-signature")


def serve(listener: Listener, host: str, port: int, started: Callable[[int], None]) -> None:
    """Until SIGINT or SIGTERM. `started` is told the port, which 0 leaves to the system. Raises OSError."""
    asyncio.run(_serve(listener, host, port, started))


async def _serve(listener: Listener, host: str, port: int, started: Callable[[int], None]) -> None:
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.router.add_route("*", "/{path:.*}", listener.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        started(runner.addresses[0][1])
        await ended.wait()
    finally:
        await runner.cleanup()


def _remember(known: OrderedDict[str, Any], key: str, value: Any) -> None:
    known[key] = value
    if len(known) > _REMEMBERED:
        known.popitem(last=False)


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else None
