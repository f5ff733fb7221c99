"""podcast:updateFrequency: when a publisher says that episodes come, asked day by day.

The rules are iCalendar RRULEs (RFC 5545) from strangers. A day is held against the rule instead of iterating
to it: python-dateutil walks to the year 9999 for FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30. It is the oracle of the
tests instead. Instants: epoch microseconds, UTC.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache

from ingest.schema import DAY_US

HOUR_US = 3_600_000_000
BEFORE_US, AFTER_US = HOUR_US, 3 * HOUR_US  # an episode is expected from one hour before to three after

_MOST_CHARS = 500
_MOST_INTERVAL = 1000
_WEEKDAYS = {name: day for day, name in enumerate(("MO", "TU", "WE", "TH", "FR", "SA", "SU"))}
_NTH_WEEKDAY = re.compile(r"(?P<nth>[+-]?[0-9]{1,2})?(?P<day>MO|TU|WE|TH|FR|SA|SU)")
_NUMBER = re.compile(r"[+-]?[0-9]{1,4}")
_INSTANT = re.compile(
    r"(?P<date>(?:19|2[0-9])[0-9][0-9]-?[0-9][0-9]-?[0-9][0-9])"
    r"(?:[Tt ](?P<hour>[01][0-9]|2[0-3])(?::?(?P<rest>[0-5][0-9](?::?[0-5][0-9](?:[.,][0-9]{1,9})?)?))?"
    r"(?P<zone>[Zz]|[+-][01][0-9]:?[0-5][0-9])?)?"
)
# COUNT is not counted: after the last of them the feed is only polled more often than need be.
_PARTS = frozenset(
    [
        "FREQ", "INTERVAL", "BYDAY", "BYMONTHDAY", "BYMONTH", "BYHOUR", "BYMINUTE", "BYSECOND", "WKST",
        "UNTIL", "COUNT",
    ]
)  # fmt: skip


class Frequency(StrEnum):
    DAILY = "DAILY"
    WEEKLY = "WEEKLY"
    MONTHLY = "MONTHLY"
    YEARLY = "YEARLY"


_PERIOD_DAYS = {
    Frequency.DAILY: 1.0,
    Frequency.WEEKLY: 7.0,
    Frequency.MONTHLY: 30.44,
    Frequency.YEARLY: 365.25,
}


@dataclass(frozen=True)
class Rule:
    """A rule in the forms that are read; days are UTC."""

    frequency: Frequency
    interval: int
    weekdays: tuple[tuple[int, int], ...]  # (nth of the month or year, 0: each; 0 Monday … 6 Sunday)
    month_days: tuple[int, ...]  # negative: from the end
    months: tuple[int, ...]
    hours: tuple[int, ...]  # UTC; empty: not said
    week_start: int
    start: date | None
    until: date | None

    @property
    def gap_us(self) -> int:
        """Roughly the time between two occurrences."""
        days = _PERIOD_DAYS[self.frequency] * self.interval
        if self.frequency is Frequency.DAILY:
            days *= 7 / (len(self.weekdays) or 7)
        elif self.frequency is Frequency.WEEKLY:
            days /= len(self.weekdays) or 1
        else:
            in_month = len(self.month_days) or sum(1 if nth else 4 for nth, _ in self.weekdays) or 1
            days /= in_month * (len(self.months) or 1 if self.frequency is Frequency.YEARLY else 1)
        return int(max(days / (len(self.hours) or 1), 1 / 24) * DAY_US)

    def is_expected(self, now_us: int) -> bool:
        """Whether an episode is due about now: near the hours said, without hours on that day (UTC)."""
        today = datetime.fromtimestamp(now_us / 1e6, UTC).date()
        if not self.hours:
            return self.occurs_on(today)
        for day in (today - timedelta(days=1), today, today + timedelta(days=1)):
            midnight_us = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000
            is_near = any(
                midnight_us + hour * HOUR_US - BEFORE_US <= now_us < midnight_us + hour * HOUR_US + AFTER_US
                for hour in self.hours
            )
            if is_near and self.occurs_on(day):
                return True
        return False

    def occurs_on(self, day: date) -> bool:
        """Whether a day is one of the rule's. Without a start the interval's phase is not known: any fits."""
        if (self.start and day < self.start) or (self.until and day > self.until):
            return False
        if self.months and day.month not in self.months:
            return False
        if self.month_days and not self._is_month_day(day):
            return False
        if self.weekdays and not any(
            weekday == day.weekday() and (nth == 0 or self._is_nth(day, nth))
            for nth, weekday in self.weekdays
        ):
            return False
        return self._is_in_turn(day)

    def _is_month_day(self, day: date) -> bool:
        days = calendar.monthrange(day.year, day.month)[1]
        return day.day in self.month_days or day.day - days - 1 in self.month_days

    def _is_nth(self, day: date, nth: int) -> bool:
        if self.frequency is Frequency.YEARLY and not self.months:
            place = day.timetuple().tm_yday
            days = 366 if calendar.isleap(day.year) else 365
        else:
            place, days = day.day, calendar.monthrange(day.year, day.month)[1]
        return nth == (place - 1) // 7 + 1 or nth == -((days - place) // 7 + 1)

    def _is_in_turn(self, day: date) -> bool:
        """Every nth day, week, month or year since the start; days like the start's where none are said."""
        start = self.start
        has_days = bool(self.weekdays or self.month_days)
        if start is None:
            return has_days or self.frequency is Frequency.DAILY
        if self.frequency is Frequency.DAILY:
            return (day - start).days % self.interval == 0
        if self.frequency is Frequency.WEEKLY:
            weeks = (self._week(day) - self._week(start)).days // 7
            return weeks % self.interval == 0 and (has_days or day.weekday() == start.weekday())
        if self.frequency is Frequency.MONTHLY:
            months = (day.year - start.year) * 12 + day.month - start.month
            return months % self.interval == 0 and (has_days or day.day == start.day)
        is_like_start = has_days or (day.day == start.day and (bool(self.months) or day.month == start.month))
        return (day.year - start.year) % self.interval == 0 and is_like_start

    def _week(self, day: date) -> date:
        return day - timedelta(days=(day.weekday() - self.week_start) % 7)


def rule_text(rrule: object, dtstart: object) -> str | None:
    """`STATE.update_rule` of the attributes of podcast:updateFrequency; null: not a rule that is read."""
    if not isinstance(rrule, str) or len(rrule) > _MOST_CHARS:
        return None
    rule = rrule.strip().upper().removeprefix("RRULE:").strip(";")
    start = _instant(dtstart.strip()) if isinstance(dtstart, str) and len(dtstart) < 50 else None
    text = f"RRULE:{rule}" if start is None else f"DTSTART:{_written(*start)}\nRRULE:{rule}"
    return text if parse_rule(text) else None


@lru_cache(maxsize=4096)
def parse_rule(text: str) -> Rule | None:
    """A rule as `rule_text` writes it; None: not DAILY to YEARLY, or parts that are not read here."""
    if len(text) > 2 * _MOST_CHARS:
        return None
    start_text, _, rule_part = text.rpartition("\n")
    parts: dict[str, str] = {}
    for part in rule_part.removeprefix("RRULE:").split(";"):
        name, equals, value = part.partition("=")
        if not equals or not value or name in parts or name not in _PARTS:
            return None
        parts[name] = value
    try:
        return _rule(parts, start_text.removeprefix("DTSTART:"))
    except (KeyError, ValueError):
        return None


def _rule(parts: dict[str, str], start_text: str) -> Rule:
    frequency = Frequency(parts["FREQ"])
    start = _instant(start_text) if start_text else None
    weekdays = tuple(
        sorted({_nth_weekday(text) for text in parts["BYDAY"].split(",")} if "BYDAY" in parts else ())
    )
    if any(nth for nth, _ in weekdays) and frequency in (Frequency.DAILY, Frequency.WEEKLY):
        raise ValueError("the nth weekday of a day or a week")
    hours = _numbers(parts, "BYHOUR", 0, 23)
    if not hours and start is not None and start[1] is not None:
        hours = (start[1],)
    until = _instant(parts["UNTIL"]) if "UNTIL" in parts else None
    if "UNTIL" in parts and until is None:
        raise ValueError("an end that is no date")
    interval = _numbers(parts, "INTERVAL", 1, _MOST_INTERVAL) or (1,)
    if len(interval) > 1:
        raise ValueError("more than one interval")
    return Rule(
        frequency=frequency,
        interval=interval[0],
        weekdays=weekdays,
        month_days=_numbers(parts, "BYMONTHDAY", -31, 31),
        months=_numbers(parts, "BYMONTH", 1, 12),
        hours=hours,
        week_start=_WEEKDAYS[parts.get("WKST", "MO")],
        start=start[0] if start else None,
        until=until[0] if until else None,
    )


def _nth_weekday(text: str) -> tuple[int, int]:
    found = _NTH_WEEKDAY.fullmatch(text)
    if found is None or (found["nth"] and not 1 <= abs(int(found["nth"])) <= 53):
        raise ValueError(f"not a weekday: {text}")
    return int(found["nth"] or 0), _WEEKDAYS[found["day"]]


def _numbers(parts: dict[str, str], name: str, least: int, most: int) -> tuple[int, ...]:
    texts = parts[name].split(",") if name in parts else []
    if not all(map(_NUMBER.fullmatch, texts)):
        raise ValueError(f"{name} is no list of numbers")
    numbers = sorted(set(map(int, texts)))
    if any(not least <= number <= most for number in numbers) or (least < 0 and 0 in numbers):
        raise ValueError(f"{name} out of range")
    return tuple(numbers)


def _instant(text: str) -> tuple[date, int | None] | None:
    """(day, hour or null) in UTC of an ISO 8601 or iCalendar instant; midnight sharp is meant as a day."""
    found = _INSTANT.fullmatch(text)
    if found is None:
        return None
    try:
        day = datetime.strptime(found["date"].replace("-", ""), "%Y%m%d").replace(tzinfo=UTC)
        if found["hour"] is None or (found["hour"] == "00" and not (found["rest"] or "0").strip("0:.,")):
            return day.date(), None
        zone = (found["zone"] or "Z").replace(":", "")
        ahead = timedelta(0)
        if zone not in ("Z", "z"):
            ahead = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:5])) * (-1 if zone[0] == "-" else 1)
        instant = day + timedelta(hours=int(found["hour"]), minutes=int((found["rest"] or "0")[:2])) - ahead
    except (ValueError, OverflowError):
        return None
    return instant.date(), instant.hour


def _written(day: date, hour: int | None) -> str:
    return f"{day:%Y%m%d}" if hour is None else f"{day:%Y%m%d}T{hour:02}0000Z"
