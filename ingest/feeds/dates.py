"""The dates of feeds: RFC 822 as meant, ISO 8601 and the forms that publishers write instead (UPDATES §3).

Understood, each with or without weekday, time, seconds, fraction, AM/PM and zone: RFC 822 with two or four
digits of the year, months and weekdays written out, in nine languages; month first (`June 10, 2003`);
asctime; ISO 8601, also with a space, basic or without a time; `10.06.2003`, `06/10/2003`, `2003/06/10`;
fourteen digits; Unix time in s and ms. Zones by name, offset, `GMT+2` or IANA name; none or an unknown one
is UTC. Anything else, and what lies outside the window, is null: the raw text is kept beside it.
"""

from __future__ import annotations

import re
import zoneinfo
from datetime import UTC, datetime, timedelta

EARLIEST_US = int(datetime(1995, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000  # before there were feeds
FUTURE_US = 2 * 366 * 86_400 * 1_000_000  # what is announced further ahead is a slip of the pen

_MAX_CHARS = 80
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Beginnings of month names that tell them apart: English, German, French, Spanish, Italian, Portuguese,
# Dutch, Swedish, Polish. The longest that fits counts (`mars` against `mar`, `juli` against `jul`).
_MONTHS = {
    1: "jan gen ene janv sty",
    2: "feb fév fev lut",
    3: "mar mär mrz mrt maa",
    4: "apr avr abr kwi",
    5: "may mai mag mei maj maio mayo",
    6: "jun juin giu cze",
    7: "jul juil lug lip",
    8: "aug aoû aou ago sie",
    9: "sep set wrz",
    10: "oct okt ott out paź",
    11: "nov lis",
    12: "dec dez déc dic dez gru",
}
_MONTH_OF = {name: month for month, names in _MONTHS.items() for name in names.split()}

# Hours east of UTC. Where a name has several meanings, the one most feeds use: CST and EST are American,
# IST is Indian, BST is British.
_ZONES = {
    "z": 0, "ut": 0, "utc": 0, "gmt": 0, "wet": 0,
    "west": 1, "bst": 1, "cet": 1, "mez": 1, "met": 1,
    "cest": 2, "mesz": 2, "mest": 2, "eet": 2, "sast": 2, "cat": 2,
    "eest": 3, "msk": 3, "trt": 3, "eat": 3, "idt": 3,
    "msd": 4, "gst": 4, "pkt": 5, "ist": 5.5, "npt": 5.75, "wib": 7, "ict": 7,
    "hkt": 8, "sgt": 8, "awst": 8, "jst": 9, "kst": 9, "acst": 9.5,
    "aest": 10, "acdt": 10.5, "aedt": 11, "nzst": 12, "nzdt": 13,
    "brt": -3, "art": -3, "adt": -3, "ndt": -2.5, "nst": -3.5, "clst": -3,
    "ast": -4, "edt": -4, "clt": -4, "est": -5, "cdt": -5, "cot": -5, "pet": -5,
    "cst": -6, "mdt": -6, "mst": -7, "pdt": -7, "pst": -8, "akdt": -8, "akst": -9, "hst": -10,
}  # fmt: skip

_TIME = (
    r"(?P<hour>\d{1,2})[:.](?P<minute>\d{1,2})(?:[:.](?P<second>\d{1,2})(?:[.,]\d+)?)?"
    r"(?:\s*(?P<half>[ap])\.?m\b\.?)?"
)
_ZONE = (
    r"\s*(?P<zone>[A-Za-z]+/[A-Za-z_/]+|[A-Za-z]{0,5}\s?[+-]\d{1,2}(?::?\d{2})?|[A-Za-z]{1,5})?"
    r"(?:\s*\([^)]*\))?"
)
_AT = rf"(?:(?:[T,\s]|\s+at|\s+um|\s+-)\s*{_TIME})?{_ZONE}"
_WEEKDAY = r"(?:[^\W\d_]+\.?\s*,\s*|[^\W\d_]+\.?\s+)?"
_MONTH = r"(?P<month>[^\W\d_]{3,12})\.?"
_DAY, _YEAR = r"(?P<day>\d{1,2})(?:st|nd|rd|th|\.|º)?", r"(?P<year>\d{4}|\d{2})"
_FORMS = [
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"{_WEEKDAY}{_DAY}[\s-]*(?:de\s+)?{_MONTH}[\s,-]*(?:de\s+)?{_YEAR}\b{_AT}",
        rf"(?P<year>\d{{4}})[-/.](?P<day_2>\d{{1,2}})[-/.](?P<day>\d{{1,2}}){_AT}",
        rf"{_WEEKDAY}{_MONTH}\s*{_DAY},?\s+(?P<year>\d{{4}})\b{_AT}",
        rf"{_WEEKDAY}{_MONTH}\s+{_DAY}\s+{_TIME}{_ZONE}\s+(?P<year>\d{{4}})",
        r"(?P<year>(?:19|20)\d{2})(?P<day_2>\d{2})(?P<day>\d{2})"
        rf"(?:T?(?P<hour>\d{{2}})(?P<minute>\d{{2}})(?P<second>\d{{2}})?)?{_ZONE}",
        rf"{_WEEKDAY}(?P<day>\d{{1,2}})(?P<mark>[./-])\s*(?P<day_2>\d{{1,2}})(?P=mark)\s*{_YEAR}\b{_AT}",
    )
]
_UNIX = re.compile(r"(\d{9,10})(?:\.\d+)?|(\d{12,13})")
_OFFSET = re.compile(r"[A-Za-z]*\s?([+-])(\d{1,2}):?(\d{2})?")


def parse_date(text: str | None, now_us: int | None) -> int | None:
    """Epoch µs of a date in any of the forms, null when unreadable or not within 1995 … now + 2 years.

    Without `now_us` the window is open at its end.
    """
    if not text or len(text) > _MAX_CHARS:
        return None
    instant_us = _instant_us(" ".join(text.split()))
    if instant_us is None or instant_us < EARLIEST_US:
        return None
    return instant_us if now_us is None or instant_us <= now_us + FUTURE_US else None


def _instant_us(text: str) -> int | None:
    unix = _UNIX.fullmatch(text)
    if unix:
        return int(unix[1]) * 1_000_000 if unix[1] else int(unix[2]) * 1_000
    for form in _FORMS:
        found = form.fullmatch(text)
        if found:
            return _of_parts({name: part for name, part in found.groupdict().items() if part})
    return None


def _of_parts(part: dict[str, str]) -> int | None:
    year = int(part["year"])
    if len(part["year"]) == 2:
        year += 2000 if year < 69 else 1900  # as POSIX does
    month, day = _month_and_day(part)
    hour, second = int(part.get("hour", 0)), min(int(part.get("second", 0)), 59)  # leap seconds
    if "half" in part:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if part["half"] in "pP" else 0)
    days, hour = (1, 0) if hour == 24 else (0, hour)
    try:
        local = datetime(year, month, day, hour, int(part.get("minute", 0)), second) + timedelta(days=days)
        instant = local.replace(tzinfo=UTC) - _east_of_utc(part.get("zone", ""), local)
    except (ValueError, OverflowError):
        return None
    return (instant - _EPOCH) // timedelta(microseconds=1)


def _month_and_day(part: dict[str, str]) -> tuple[int, int]:
    """0 for a month there is not."""
    day = int(part["day"])
    if "month" in part:
        name = part["month"].lower()
        return next((_MONTH_OF[name[:size]] for size in (4, 3) if name[:size] in _MONTH_OF), 0), day
    other = int(part["day_2"])
    # With slashes the month comes first unless it cannot; dots and hyphens are written day first.
    return (day, other) if part.get("mark") == "/" and day <= 12 else (other, day)


def _east_of_utc(zone: str, local: datetime) -> timedelta:
    offset = _OFFSET.fullmatch(zone)
    if offset:
        sign, hours, minutes = offset.groups()
        east = timedelta(hours=int(hours), minutes=int(minutes or 0))
        if east > timedelta(hours=15):
            return timedelta()
        return -east if sign == "-" else east
    if "/" in zone:
        try:
            return zoneinfo.ZoneInfo(zone).utcoffset(local) or timedelta()
        except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
            return timedelta()
    return timedelta(hours=_ZONES.get(zone.lower(), 0))
