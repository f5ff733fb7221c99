"""Numbers, dates and shares as people read them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from urllib.parse import quote

from ingest.settings import Window

MINUS = "−"
NOTHING = "–"


def count(value: float | None) -> str:
    """`12,340`; a dash where there is none."""
    return NOTHING if value is None else f"{round(value):,}".replace("-", MINUS)


def percent(share: float | None) -> str:
    """`8 %`, below ten with one decimal; `<0.1 %` rather than a 0 that is none."""
    if share is None:
        return NOTHING
    value = share * 100
    if 0 < abs(value) < 0.1:
        return f"<0.1{NBSP}%"
    text = f"{value:.0f}" if abs(value) >= 9.95 else f"{value:.1f}".removesuffix(".0")
    return f"{text}{NBSP}%".replace("-", MINUS)


NBSP = "\N{NO-BREAK SPACE}"


def times(ratio: float | None) -> str:
    """`1.30 ×`."""
    return NOTHING if ratio is None else f"{ratio:.2f}{NBSP}×"


def day(value: date | datetime | None) -> str:
    """`3 Sep 2026`."""
    return NOTHING if value is None else f"{value.day}{NBSP}{value:%b}{NBSP}{value.year}"


def short_day(value: date | datetime) -> str:
    return f"{value.day}{NBSP}{value:%b}"


def minute(value: datetime | None) -> str:
    return NOTHING if value is None else f"{day(value)}, {value:%H:%M}{NBSP}UTC"


def span(first: date, last: date) -> str:
    """`3 Sep to 30 Sep 2026`."""
    return f"{short_day(first) if first.year == last.year else day(first)} to {day(last)}"


def change(now: float, before: float, what: str) -> str:
    """`8 % more than in the 28 days before`; plain words where there is nothing to compare with."""
    if not before:
        return f"no downloads in {what} to compare with"
    share = (now - before) / before
    if abs(share) < 0.005:
        return f"the same as in {what}"
    return f"{percent(abs(share))} {'more' if share > 0 else 'fewer'} than in {what}"


def duration(seconds: float | None) -> str:
    """`1 h 3 min`, `42 min`, `30 s`."""
    if not seconds:
        return NOTHING
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{round(seconds)}{NBSP}s"
    hours, rest = divmod(minutes, 60)
    return f"{hours}{NBSP}h {rest}{NBSP}min" if hours else f"{minutes}{NBSP}min"


def ago(seconds: float | None) -> str:
    if seconds is None:
        return NOTHING
    if seconds < 90:
        return f"{round(seconds)}{NBSP}s"
    if seconds < 5400:
        return f"{round(seconds / 60)}{NBSP}min"
    if seconds < 172_800:
        return f"{round(seconds / 3600)}{NBSP}h"
    return f"{round(seconds / 86_400)}{NBSP}days"


def epoch_ms(value: date | datetime) -> int:
    """Milliseconds since 1970, of a date its first; times are UTC."""
    moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
    return int(moment.replace(tzinfo=UTC).timestamp() * 1000)


def next_day(value: date) -> date:
    return value + timedelta(days=1)


def show_href(show_id: str) -> str:
    return f"/shows/{quote(show_id, safe='')}"


def episode_href(episode_key: int) -> str:
    return f"/episodes/{episode_key}"


def podcast_href(podcast_key: int) -> str:
    return f"/podcasts/{podcast_key}"


def window_words(window: Window) -> str:
    """What a listener's requests of an episode are gathered in, to count once."""
    return {
        Window.CALENDAR: "once a calendar day",
        Window.FIRST_TOUCH: f"once in 24{NBSP}h from the first request",
        Window.LAST_TOUCH: f"once until 24{NBSP}h without a request",
    }[window]


def source_words(source_class: str) -> str:
    return {"server_log": "server logs", "prefix": "prefix"}.get(source_class, source_class)
