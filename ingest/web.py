"""What every HTTP client of ours shares: its name, validators byte for byte, Retry-After, errors."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib import metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # † importing it is 0.06 CPU-s, and whoever counts files asks nobody
    import httpx

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
MAX_RETRY_AFTER_S = 24 * 3600  # nobody is left alone for longer because of one answer
BUSY = (429, 503)  # the statuses that Retry-After goes with


class Unreachable(Exception):
    """Not now: no network, or a server in trouble. Another time it may be there."""


class Refused(Exception):
    """There is an answer, and it cannot be used."""


@dataclass(frozen=True)
class Known:
    """What a server said of the copy we have, byte for byte: weak tags, quotes and all."""

    etag: str | None = None
    last_modified: str | None = None

    @classmethod
    def of(cls, response: httpx.Response) -> Known:
        return cls(raw_header(response, b"etag"), raw_header(response, b"last-modified"))

    def conditions(self) -> list[tuple[bytes, bytes]]:
        """The headers that ask only for something newer."""
        asked = ((b"If-None-Match", self.etag), (b"If-Modified-Since", self.last_modified))
        return [(name, value.encode("latin-1")) for name, value in asked if value is not None]


def user_agent(purpose: str) -> str:
    """The honest name under which we ask."""
    return f"Earshot/{metadata.version('earshot')} (podcast analytics; {purpose})"


def raw_header(response: httpx.Response, name: bytes) -> str | None:
    """A header's bytes, one character each: httpx would guess an encoding. `name` in lower case."""
    found = [value for key, value in response.headers.raw if key.lower() == name]
    return (found[0].decode("latin-1") or None) if found else None


def is_uncompressed(response: httpx.Response) -> bool:
    coding: str = response.headers.get("Content-Encoding", "identity")
    return coding.lower() == "identity"


def retry_after_s(text: str | None, now_us: int) -> int | None:
    """Retry-After (RFC 9110 §10.2.3) in seconds, 0 to 24 h; None: absent, or neither a number nor a date."""
    text = (text or "").strip()[:100]
    if text.isascii() and text.isdigit():
        return min(int(text), MAX_RETRY_AFTER_S)
    try:
        at = parsedate_to_datetime(text)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        seconds = (at - datetime.fromtimestamp(now_us / 1e6, UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return int(min(max(0.0, seconds), MAX_RETRY_AFTER_S))
