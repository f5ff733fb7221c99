"""The durations of feeds, in seconds: `1:02:03`, `62:03`, `3723.5`, `00:61:00`, `1h2m`, `PT1H2M`."""

from __future__ import annotations

import re

MAX_S = 7 * 86_400  # longer than any episode: milliseconds, or nonsense

_CLOCK = re.compile(
    r"(?:(?P<h>\d{1,4}):)?(?P<m>\d{1,5}):(?P<s>\d{1,5}(?:[.,]\d+)?)(?:\s*(?:min|mins|minutes))?"
)
_PLAIN = re.compile(r"(?P<s>\d{1,9}(?:[.,]\d+)?)")
_NUMBER = r"\d{1,9}(?:[.,]\d+)?"
_UNITS = re.compile(
    rf"(?:PT?)?\s*(?:(?P<h>{_NUMBER})\s*(?:hours|hour|hrs|hr|h|std|stunden?)\.?)?[\s,]*(?:and\s+)?"
    rf"(?:(?P<m>{_NUMBER})\s*(?:minutes|minute|minuten|mins|min|m)\.?)?[\s,]*(?:and\s+)?"
    rf"(?:(?P<s>{_NUMBER})\s*(?:seconds|second|sekunden|secs|sec|s)\.?)?",
    re.IGNORECASE,
)


def parse_duration(text: str | None) -> float | None:
    """Seconds; null for 0, for more than a week and for what is no duration. Parts may exceed 59."""
    text = (text or "").strip()
    if not text or len(text) > 50:
        return None
    found = _CLOCK.fullmatch(text) or _PLAIN.fullmatch(text) or _UNITS.fullmatch(text)
    if found is None:
        return None
    part = {name: float(value.replace(",", ".")) for name, value in found.groupdict().items() if value}
    seconds = part.get("h", 0) * 3600 + part.get("m", 0) * 60 + part.get("s", 0)
    return seconds if 0 < seconds <= MAX_S else None
