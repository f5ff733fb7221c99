"""Sessions of pages: a signed text for a cookie or link, that stands for a key, or shows one show for a time.

Nothing is stored: a session ends with its key, with the tenant's ownership of the show, or at its end.
"""

from __future__ import annotations

import base64
import hmac
from dataclasses import asdict, dataclass

import orjson

from serving.api.signing import sign

COOKIE = "earshot_session"
_PURPOSE = "session"
_MAC_BYTES = 16
_MAX_CHARS = 1000


@dataclass(frozen=True)
class Session:
    """Either of a key, or of a tenant's one show; until `until_us` (epoch microseconds)."""

    until_us: int
    key_id: int | None = None
    tenant: str | None = None
    show_id: str | None = None


def issue(secret: bytes, session: Session) -> str:
    payload = orjson.dumps(asdict(session))
    mac = sign(secret, _PURPOSE, payload)
    return base64.urlsafe_b64encode(mac + payload).decode().rstrip("=")


def read(secret: bytes, text: str, now_us: int) -> Session | None:
    """None: it is none of ours, or over."""
    if len(text) > _MAX_CHARS:
        return None
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return None
    mac, payload = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
    if not hmac.compare_digest(mac, sign(secret, _PURPOSE, payload)):
        return None
    session = Session(**orjson.loads(payload))
    return session if now_us < session.until_us else None
