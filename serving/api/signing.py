"""One secret for all workers: it signs cursors, sessions and ETags, and seals what a caller carries."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import os
import secrets
from pathlib import Path

FILE_NAME = "api.secret"
_MAC_BYTES = 16


def load_secret(given: str | None, data: Path) -> bytes:
    """What the setting says, else what the data folder holds, made there by whoever comes first."""
    if given:
        return hashlib.sha256(given.encode()).digest()
    path = data / FILE_NAME
    if not path.exists():
        data.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{FILE_NAME}.{os.getpid()}.{secrets.token_hex(4)}")
        fresh.touch(mode=0o600)
        fresh.write_bytes(secrets.token_bytes(32))
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)  # never over another's
        fresh.unlink()
    return path.read_bytes()


def sign(secret: bytes, purpose: str, *parts: bytes) -> bytes:
    """16 bytes; each purpose is a key of its own, and the parts cannot run into each other."""
    mac = hashlib.blake2b(key=secret, digest_size=_MAC_BYTES, person=purpose.encode()[:16])
    for part in parts:
        mac.update(len(part).to_bytes(4, "big"))
        mac.update(part)
    return mac.digest()


def seal(secret: bytes, purpose: str, payload: bytes, *about: bytes) -> str:
    """A text for URL or cookie: whoever has it can read the payload, and cannot make another."""
    return base64.urlsafe_b64encode(sign(secret, purpose, *about, payload) + payload).decode().rstrip("=")


def unseal(secret: bytes, purpose: str, text: str, *about: bytes) -> bytes | None:
    """The payload; None: it is none of ours, for this purpose and about that."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return None
    mac, payload = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
    return payload if hmac.compare_digest(mac, sign(secret, purpose, *about, payload)) else None
