"""Messages that are sent at once, outside the outbox: the challenge of a new endpoint, and test events."""

from __future__ import annotations

import secrets
import uuid
from typing import Protocol

import orjson

from registry.subscribing import BadSubscription
from serving.webhooks import sign
from serving.webhooks.catalogue import example
from serving.webhooks.outcomes import Result
from serving.webhooks.payload import notice_body
from serving.webhooks.send import Sender

CHALLENGE = "webhook.challenge"
_TOKEN_BYTES = 24
_UNKNOWN_SIGNATURE = (401, 403)


class Endpoint(Protocol):
    """What is needed of a `registry.subscriptions.Subscription`."""

    @property
    def url(self) -> str: ...

    def secrets(self, now_us: int) -> tuple[str, ...]: ...


async def challenge(sender: Sender, url: str, secret: str, now_us: int) -> None:
    """Ask an endpoint whether it wants our webhooks (UPDATES §5). Raises BadSubscription of `url`.

    It must answer 2xx with the token, as {"challenge": token} or alone, within the bytes that are read of an
    answer. A server that merely echoes what it is sent does not pass.
    """
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    body = notice_body(CHALLENGE, {"challenge": token}, now_us)
    result = await _send(sender, url, (secret,), f"ntc_{uuid.uuid4().hex}", body, now_us)
    if not result.is_success:
        why = f"the endpoint did not take our challenge: {result.detail}"
        if result.status in _UNKNOWN_SIGNATURE:
            why += "; does it know the secret that signs?"
        raise BadSubscription("url", why)
    if not _is_answered(result.answer, token):
        said = f"it said {result.answer[:80]!r}" if result.answer.strip() else "its answer was empty"
        raise BadSubscription("url", f"the endpoint did not answer our challenge with its token: {said}")


async def test_event(
    sender: Sender, subscription: Endpoint, type: str, now_us: int, message_id: str | None = None
) -> Result:
    """Send an example of `type`, any of the catalogue's, signed as a real one.

    `message_id`: its webhook-id, None makes one. Raises ValueError for an unknown type.
    """
    body = example(type, now_us)
    keys = subscription.secrets(now_us)
    return await _send(sender, subscription.url, keys, message_id or test_id(), body, now_us)


def test_id() -> str:
    """A webhook-id for a test event."""
    return f"test_{uuid.uuid4().hex}"


async def _send(
    sender: Sender, url: str, keys: tuple[str, ...], message_id: str, body: bytes, now_us: int
) -> Result:
    headers = sign.headers(message_id, body, keys, now_us, attempt=1)
    return await sender.post(url, body, headers)


def _is_answered(answer: str, token: str) -> bool:
    if answer.strip() == token:
        return True
    try:
        said = orjson.loads(answer)
    except orjson.JSONDecodeError:
        return False
    return (said.get("challenge") if isinstance(said, dict) else said) == token
