"""When a scheduled subscription's next batch is due: cron on the clocks of a time zone."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim

_SECOND_US = 1_000_000


def next_digest_us(cron: str, time_zone: str, now_us: int) -> int:
    """The first instant after `now_us` at which `cron` is due in `time_zone`, epoch µs.

    Where clocks are put forward, a time of day that does not exist is due when they have been; where they
    are put back, one that comes twice is due the first time; `*` in hours or minutes goes by elapsed time, so
    that "each hour" is each hour (as Debian's cron does). Raises ValueError: no such time in fifty years, and
    cronsim.CronSimError: not cron.
    """
    now = datetime.fromtimestamp(now_us // _SECOND_US, UTC).astimezone(ZoneInfo(time_zone))
    for due in CronSim(cron, now):
        due_us = int(due.timestamp()) * _SECOND_US
        if due_us > now_us:  # the second of two o'clocks is told as the first, which may be over
            return due_us
    raise ValueError(f"{cron!r} is never due")
