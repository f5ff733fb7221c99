"""The headers of a message, signed as receivers' Standard Webhooks libraries verify it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache

from standardwebhooks import Webhook

_SECOND_US = 1_000_000


def headers(
    message_id: str, body: bytes, secrets: Sequence[str], now_us: int, attempt: int
) -> dict[str, str]:
    """Of attempt number `attempt`, made at `now_us`; one signature a secret, the current one first.

    `message_id` is the same over all attempts. During a rotation both secrets sign, so that a receiver that
    knows either can verify (UPDATES §5). Raises ValueError without a secret.
    """
    if not secrets:
        raise ValueError("a message is signed with one secret at least")
    # Floored here: the library does the same, and its datetime must be aware.
    second = now_us // _SECOND_US
    at, text = datetime.fromtimestamp(second, UTC), body.decode()
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(second),
        "webhook-signature": " ".join(_signer(secret).sign(message_id, at, text) for secret in secrets),
        "webhook-attempt": str(attempt),
    }


@lru_cache(maxsize=1024)
def _signer(secret: str) -> Webhook:
    return Webhook(secret)
