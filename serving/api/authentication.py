"""From the headers of a request to its caller: an API key, or a page's session, or nobody in particular."""

from __future__ import annotations

import re
import time

from registry.api_keys import PREFIX, ApiKey, digest_of
from serving.api.access import Access
from serving.api.caller import ANYBODY, Caller
from serving.api.problems import Problem

_BEARER = re.compile(rb"bearer +(\S+)", re.IGNORECASE)
_KEY = re.compile(rf"{PREFIX}[\w-]{{40,50}}")


def caller_of(authorization: bytes | None, access: Access) -> Caller:
    """Raises Problem: 401 for a key that is malformed, unknown, revoked or expired; never which of them."""
    if authorization is None:
        return ANYBODY
    found = _BEARER.fullmatch(authorization.strip())
    if not found:
        raise _refused("Authorization is written: Bearer es_…")
    text = found[1].decode("latin-1")
    key = access.keys.get(digest_of(text)) if _KEY.fullmatch(text) else None
    if key is None or not key.is_valid(time.time_ns() // 1000):
        raise _refused("This key is unknown, revoked or expired; `earshot key list` shows those there are")
    return of_key(key)


def of_key(key: ApiKey) -> Caller:
    return Caller(key.tenant, key.scopes, key.key_id)


def _refused(reason: str) -> Problem:
    return Problem(
        401, "The key cannot be used", reason, field="Authorization", headers={"www-authenticate": "Bearer"}
    )
