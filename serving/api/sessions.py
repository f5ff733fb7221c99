"""Sessions of pages: a signed text for a cookie or link, that stands for a key, or shows one show for a time.

Nothing is stored: a session ends with its key, with the tenant's ownership of the show, or at its end.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import orjson

from serving.api.signing import seal, unseal

COOKIE = "earshot_session"
_PURPOSE = "session"
_MAX_CHARS = 1000


@dataclass(frozen=True)
class Session:
    """Either of a key, or of a tenant's one show; until `until_us` (epoch microseconds)."""

    until_us: int
    key_id: int | None = None
    tenant: str | None = None
    show_id: str | None = None


def issue(secret: bytes, session: Session) -> str:
    return seal(secret, _PURPOSE, orjson.dumps(asdict(session)))


def read(secret: bytes, text: str, now_us: int) -> Session | None:
    """None: it is none of ours, or over."""
    if len(text) > _MAX_CHARS:
        return None
    payload = unseal(secret, _PURPOSE, text)
    if payload is None:
        return None
    session = Session(**orjson.loads(payload))
    return session if now_us < session.until_us else None
