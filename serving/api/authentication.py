"""From the headers of a request to its caller: an API key, or a page's session, or nobody in particular."""

from __future__ import annotations

import re
import time

from registry.api_keys import PREFIX, ApiKey, Scope, digest_of
from serving.api import sessions
from serving.api.access import Access
from serving.api.caller import ANYBODY, Caller
from serving.api.problems import Problem

_BEARER = re.compile(rb"bearer +(\S+)", re.IGNORECASE)
_KEY = re.compile(rf"{PREFIX}[\w-]{{40,50}}", re.ASCII)
_COOKIE = re.compile(rf"(?:^|;\s*){sessions.COOKIE}=([\w-]+)(?:;|$)".encode(), re.ASCII)


class Authentication:
    """Remembers the key of a header while the access is the same: hashing costs more than that."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._access: Access | None = None
        self._known: dict[bytes, ApiKey] = {}

    def caller_of(
        self, authorization: bytes | None, cookie: bytes | None, access: Access, is_safe: bool
    ) -> Caller:
        """Raises Problem: 401 for a key that is malformed, unknown, revoked or expired; never says which.

        A session counts for safe methods alone: a foreign page can make a browser send the cookie.
        """
        now_us = time.time_ns() // 1000
        if authorization is None:
            if cookie is None or not is_safe:
                return ANYBODY
            return self._of_session(cookie, access, now_us)
        if access is not self._access:
            self._access, self._known = access, {}
        key = self._known.get(authorization)
        if key is None:
            key = _key_of(authorization, access)
            if key is not None:
                self._known[authorization] = key
        if key is None or not key.is_valid(now_us):
            raise _refused(
                "This key is unknown, revoked or expired; `earshot key list` shows those there are"
            )
        return _of_key(key)

    def _of_session(self, cookie: bytes, access: Access, now_us: int) -> Caller:
        found = _COOKIE.search(cookie)
        session = sessions.read(self._secret, found[1].decode(), now_us) if found else None
        if session is None:
            return ANYBODY
        if session.key_id is not None:
            key = access.keys_by_id.get(session.key_id)
            return _of_key(key) if key and key.is_valid(now_us) else ANYBODY
        return Caller(session.tenant, frozenset({Scope.READ}), only_show=session.show_id)


def is_new_key(authorization: bytes | None, access: Access) -> bool:
    """Whether it is written as a key is, and is none that `access` knows: it may have been made just now."""
    found = _BEARER.fullmatch((authorization or b"").strip())
    text = found[1].decode("latin-1") if found else ""
    return _KEY.fullmatch(text) is not None and digest_of(text) not in access.keys


def _key_of(authorization: bytes, access: Access) -> ApiKey | None:
    found = _BEARER.fullmatch(authorization.strip())
    if not found:
        raise _refused("Authorization is written: Bearer es_…")
    text = found[1].decode("latin-1")
    return access.keys.get(digest_of(text)) if _KEY.fullmatch(text) else None


def _of_key(key: ApiKey) -> Caller:
    return Caller(key.tenant, key.scopes, key.key_id)


def _refused(reason: str) -> Problem:
    return Problem(
        401, "The key cannot be used", reason, field="Authorization", headers={"www-authenticate": "Bearer"}
    )
