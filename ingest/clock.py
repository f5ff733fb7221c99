"""Is this machine's clock right? What cannot be undone asks first: a secret that is destroyed stays so.

Vouched for by the newest request, whose time a server logged, and by the last maintenance that had no doubt.
"""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from pathlib import Path

from ingest.durable import write_atomically
from ingest.lake import Lake
from ingest.schema import DAY_US
from ingest.settings import Settings

AHEAD_DAYS = 7  # further than this from all that vouches for it a clock is in doubt
FILE = "maintained"  # in the keys' folder: epoch µs of the last maintenance


def doubt(settings: Settings, lake: Lake, now_us: int) -> str:
    """Why this clock is not to be believed; empty: it is, or there is nothing yet that could tell."""
    vouched_us = max((us for us in (_newest_request(lake), _maintained(settings)) if us), default=now_us)
    if now_us <= vouched_us + AHEAD_DAYS * DAY_US:
        return ""
    now, newest = (datetime.fromtimestamp(us / 1e6, UTC).date() for us in (now_us, vouched_us))
    return (
        f"this machine's clock says {now}, but the newest request and the last maintenance are of {newest}: "
        "no secret is destroyed by it. Set the clock; where it is right, run `earshot privacy rotate` by hand"
    )


def note_maintained(settings: Settings, now_us: int) -> None:
    """A clock that was not in doubt vouches for that of the next days. Raises OSError."""
    settings.keys_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomically(_path(settings), str(now_us).encode())
    _path(settings).chmod(0o600)


def _newest_request(lake: Lake) -> int | None:
    newest = lake.ledger()["last_us"].max()
    return newest if isinstance(newest, int) else None


def _maintained(settings: Settings) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        return int(_path(settings).read_text())
    return None


def _path(settings: Settings) -> Path:
    return settings.keys_dir / FILE
