"""What a person wrote of a collaboration, field by field: read, or refused with its problem."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import lru_cache

from babel.core import get_global

from ingest.feeds.urls import without_credentials
from ingest.schema import DAY_US
from registry.registration import DEFAULT_TENANT, BadRegistration, checked_name, iso_us
from registry.tables import CollaborationType

MAX_COST = 1e12
SHOWN_CHARS = 80

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_LAST_US = 253_402_300_799_000_000  # what datetime can show
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d{1,20}(\.\d{0,20})?|\.\d{1,20})", re.ASCII)


class Problem(StrEnum):
    """Why a collaboration is refused."""

    MISSING = "missing"
    BAD_VALUE = "bad_value"  # not one of the known, not readable, too long
    UNKNOWN_SHOW = "unknown_show"
    AMBIGUOUS_SHOW = "ambiguous_show"  # it means several
    SAME_SHOW = "same_show"
    UNKNOWN_EPISODE = "unknown_episode"
    FAR_FUTURE = "far_future"
    ENDS_BEFORE_START = "ends_before_start"
    BEFORE_DATA = "before_data"
    TOO_MANY = "too_many"  # of one show at a time
    SHORT_RETENTION = "short_retention"
    BAD_COST = "bad_cost"
    NO_CURRENCY = "no_currency"
    BAD_CURRENCY = "bad_currency"


class BadCollaboration(ValueError):
    """A collaboration that cannot be; the message is for people and begins with the field."""

    def __init__(self, field: str, problem: Problem, reason: str) -> None:
        self.field, self.problem, self.reason = field, problem, without_credentials(reason)
        super().__init__(f"{field}: {self.reason}")


def type_of(text: str) -> CollaborationType:
    known = ", ".join(CollaborationType)
    if not text.strip():
        raise BadCollaboration("type", Problem.MISSING, f"name one of {known}")
    try:
        return CollaborationType(text.strip().lower())
    except ValueError:
        raise BadCollaboration(
            "type", Problem.BAD_VALUE, f"{text[:SHOWN_CHARS]!r} is not one of {known}"
        ) from None


def tenant_of(text: str) -> str:
    try:
        return checked_name("tenant", text.strip() or DEFAULT_TENANT)
    except BadRegistration as error:
        raise BadCollaboration("tenant", Problem.BAD_VALUE, str(error)) from None


def price_of(cost: str, currency: str, at_us: int) -> tuple[float | None, str | None]:
    if not cost.strip():
        return None, None
    amount, code = _cost(cost.strip()), currency.strip()
    if not code:
        raise BadCollaboration("currency", Problem.NO_CURRENCY, "a cost needs one, such as EUR or USD")
    if not _CURRENCY.fullmatch(code):
        raise BadCollaboration(
            "currency",
            Problem.BAD_CURRENCY,
            f"{code[:SHOWN_CHARS]!r} is no ISO 4217 code: three capital letters such as EUR",
        )
    day = datetime.fromtimestamp(at_us / 1e6, UTC).date()
    if not any(first <= day <= last for first, last in _tenders().get(code, ())):
        raise BadCollaboration("currency", Problem.BAD_CURRENCY, f"{code} is money nowhere on {day}")
    return amount, code


def _cost(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise BadCollaboration(
            "cost", Problem.BAD_COST, f"{text[:SHOWN_CHARS]!r} is not an amount such as 250 or 99.50"
        )
    if (amount := float(text)) < 0:
        raise BadCollaboration("cost", Problem.BAD_COST, f"{text} is negative")
    if amount > MAX_COST:
        raise BadCollaboration("cost", Problem.BAD_COST, f"{text} is more than {MAX_COST:,.0f}")
    return abs(amount)  # of -0


@lru_cache(1)
def _tenders() -> dict[str, list[tuple[date, date]]]:
    """Currency → when it is legal tender somewhere (Unicode CLDR, as Babel brings it)."""
    found: dict[str, list[tuple[date, date]]] = {}
    for currencies in get_global("territory_currencies").values():
        for code, since, until, is_tender in currencies:
            if is_tender:
                span = (date(*since) if since else date.min, date(*until) if until else date.max)
                found.setdefault(code, []).append(span)
    return found


def text_of(field: str, text: str, most: int, more: str = "") -> str | None:
    """None: nothing said. What is stored is printable, so that both databases and every terminal take it."""
    text = text.strip()
    if len(text) > most:
        raise BadCollaboration(field, Problem.BAD_VALUE, f"longer than {most:,} characters")
    if not all(sign.isprintable() or sign in more for sign in text):
        raise BadCollaboration(field, Problem.BAD_VALUE, "with characters that cannot be printed")
    return text or None


def instant_us(field: str, text: str, is_end: bool = False) -> int | None:
    text = text.strip()
    if not text:
        return None
    try:
        at_us = iso_us(text) + (DAY_US if is_end and _DAY.fullmatch(text) else 0)
        if at_us >= 0:
            return min(at_us, _LAST_US)
        raise ValueError(text)
    except ValueError:
        raise BadCollaboration(
            field,
            Problem.BAD_VALUE,
            f"{text[:SHOWN_CHARS]!r} is no time such as 2026-11-29 or 2026-11-29T15:00Z",
        ) from None


def day_us(day: date) -> int:
    return (day - date(1970, 1, 1)).days * DAY_US


def shown_time(at_us: int) -> str:
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
