"""What the headers of an answer mean: freshness, validators byte for byte. Retry-After: ingest.web."""

from __future__ import annotations

import re

_MAX_DELTA_S = 1 << 31  # RFC 9111 §1.2.2
_MAX_VALIDATOR_CHARS = 1024  # a tag is a hash or a date; kilobytes of it are for each of a million feeds
_DIRECTIVE = re.compile(r'\s*([a-z-]+)\s*(?:=\s*(?:"([^"]*)"|([^\s,]*)))?[^,]*(?:,|$)', re.IGNORECASE)
_FORBIDDEN = re.compile(r"[^\t\x20-\x7e\x80-\xff]")  # RFC 9110 §5.5


def latin1(value: str) -> str:
    """One character a byte, of a value in which aiohttp guessed UTF-8."""
    return value if value.isascii() else value.encode("utf-8", "surrogateescape").decode("latin-1")


def validator(value: str | None) -> str | None:
    """An ETag or Last-Modified that can be kept and sent back as it is (one character a byte), else None."""
    if not value or len(value) > _MAX_VALIDATOR_CHARS or _FORBIDDEN.search(value):
        return None
    return value


def max_age_s(cache_control: str | None) -> int | None:
    """Seconds for which the answer is fresh, by Cache-Control; 0 for no-cache and no-store.

    None: it does not say, or nothing readable. Of several the first counts (RFC 9111 §4.2.1); s-maxage is for
    shared caches and ignored.
    """
    if not cache_control:
        return None
    found: int | None = None
    for name, quoted, plain in _DIRECTIVE.findall(cache_control[:2000]):
        match name.lower():
            case "no-cache" | "no-store" if not (quoted or plain):  # with fields named only these are meant
                return 0
            case "max-age" if found is None:
                found = _delta_s(quoted or plain, _MAX_DELTA_S)
    return found


def _delta_s(digits: str, most: int) -> int | None:
    if not (digits.isascii() and digits.isdigit()):
        return None
    return min(int(digits), most) if len(digits) <= 10 else most
