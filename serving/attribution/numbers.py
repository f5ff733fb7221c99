"""Numbers as people read them: a headline's whole ones, a calculation's to four digits."""

from __future__ import annotations

import math
from datetime import datetime

MINUS = "−"
_DIGITS = 4  # of a calculation: who calculates again comes to the same whole number
_MOST_DECIMALS = 6


def count(value: int) -> str:
    return f"{value:,}".replace("-", MINUS)


def listeners(value: float) -> str:
    """A number of listeners: whole, below ten to two digits."""
    decimals = 0 if abs(value) >= 9.95 else min(2, _decimals(value, 2))
    return _shortest(_signed(value, decimals))


def exact(value: float) -> str:
    """A number to calculate with."""
    return _shortest(_signed(value, max(2, _decimals(value, _DIGITS))))


def percent(share: float) -> str:
    return f"{exact(share * 100)} %"


def money(value: float, currency: str) -> str:
    return f"{_signed(value, 2)} {currency}"


def day(at: datetime) -> str:
    return f"{at:%Y-%m-%d}"


def minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _shortest(text: str) -> str:
    """Without zeros at the end of its decimals."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def _decimals(value: float, digits: int) -> int:
    if not value:
        return 0
    return min(_MOST_DECIMALS, max(0, digits - 1 - math.floor(math.log10(abs(value)))))


def _signed(value: float, decimals: int) -> str:
    text = f"{abs(value):,.{decimals}f}"
    return MINUS + text if value < 0 and text.strip("0.,") else text
