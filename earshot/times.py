"""Times as people type them: `2026-11-29`, `2026-11-29T15:00Z`, `2d` (ago). UTC unless they say otherwise."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import overload

import typer

_AGO = re.compile(r"(\d{1,6}) ?(min|[smhdw])", re.ASCII)
_UNITS_S = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant_us(text: str, option: str, now_us: int, is_end: bool = False) -> int:
    """Epoch µs. A date means its beginning, as an end the end of it. Raises typer.BadParameter."""
    text = text.strip()
    if ago := _AGO.fullmatch(text):
        return now_us - int(ago[1]) * _UNITS_S[ago[2]] * 1_000_000
    try:
        if _DAY.fullmatch(text):
            day = date.fromisoformat(text) + timedelta(days=is_end)
            return _us(datetime.combine(day, time(), UTC))
        found = datetime.fromisoformat(text)
        return _us(found if found.tzinfo else found.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is no time such as 2026-11-29, 2026-11-29T15:00Z, 6h or 2d (ago)", param_hint=option
        ) from None


@overload
def shown(at_us: int) -> str: ...


@overload
def shown(at_us: int | None) -> str | None: ...


def shown(at_us: int | None) -> str | None:
    """ISO, UTC, to the second."""
    if at_us is None:
        return None
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _us(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)
