"""The looks at an installation: each finds the alerts of its subject, and none keeps another from its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ingest.feeds.schedule import overdue
from ingest.feeds.state import read_states
from ingest.lake import Lake
from ingest.logs.keyring import KeyRing
from ingest.schema import DAY_US
from ingest.settings import SettingError, Settings
from registry.database import FILE_NAME, connected
from registry.subscriptions import listing
from serving.alerts import failures, rules
from serving.alerts.alert import Alert, Kind, Severity
from serving.alerts.news import since
from serving.versions import CURRENT, MANIFEST_NAME
from serving.webhooks.outcomes import printable

ITSELF = "looks"  # under this name stand the looks that failed


@dataclass(frozen=True)
class Look:
    """One look: how often it is made, and what it costs is why."""

    every_s: int
    alerts: Callable[[Settings, int], list[Alert]]


def look(
    settings: Settings, looked: dict[str, int], now_us: int, looks: Mapping[str, Look] | None = None
) -> dict[str, list[Alert]]:
    """Name of each look that was due and came to its end → what it found; under ITSELF those that failed.

    looked: when each last came to its end, µs; brought up to date.
    """
    found: dict[str, list[Alert]] = {ITSELF: []}
    for name, each in (LOOKS if looks is None else looks).items():
        # Half a minute early is in time: whoever asks does so about each minute.
        if since(looked.get(name, 0), now_us) < (each.every_s - 30) * 1_000_000:
            continue
        try:
            found[name] = each.alerts(settings, now_us)
            looked[name] = now_us
        except Exception as error:
            found[ITSELF].append(_cannot(name, error))
    return found


def _cannot(name: str, error: Exception) -> Alert:
    # Of an error that we do not know the text may hold anything.
    is_known = isinstance(error, SettingError | OSError)
    why = f"{type(error).__name__}: {error}" if is_known else type(error).__name__
    return Alert(
        Kind.CANNOT_LOOK,
        name,
        Severity.CRITICAL,
        printable(f"The look at {name} failed, so what is wrong there is not seen: {why}.", 500),
        "Run `earshot doctor`: it says what it rests on and how to mend that.",
    )


def _runs(settings: Settings, now_us: int) -> list[Alert]:
    return failures.alerts(failures.known_failures(settings.data))


def _feeds(settings: Settings, now_us: int) -> list[Alert]:
    if not (settings.lake_dir / "catalog").exists():
        return []
    states = read_states(settings.lake_dir, ["tier", "failures", "next_due_us", "polled_us"])
    return rules.promises(overdue(states, now_us))


def _files(settings: Settings, now_us: int) -> list[Alert]:
    if not (settings.lake_dir / "FORMAT").exists():
        return []
    first = datetime.fromtimestamp((now_us - rules.FILES_DAYS * DAY_US) / 1e6, UTC).date()
    ledger = Lake(settings.lake_dir).ledger(since=first - timedelta(days=1))
    return [
        *rules.rejects(ledger, settings.alert_reject_share, settings.min_rejects_to_hold, now_us),
        *rules.marts_behind(ledger, _published_us(settings), now_us),
    ]


def _published_us(settings: Settings) -> int | None:
    try:
        told = json.loads((settings.published_dir / CURRENT / MANIFEST_NAME).read_bytes())
    except FileNotFoundError:
        return None
    return int(datetime.fromisoformat(told["made_at"]).timestamp() * 1_000_000)


def _endpoints(settings: Settings, now_us: int) -> list[Alert]:
    if settings.registry is None and not (settings.data / FILE_NAME).exists():
        return []
    with connected(settings.registry, settings.data) as engine:
        return rules.disabled_endpoints(listing(engine))


def _disk(settings: Settings, now_us: int) -> list[Alert]:
    """Of the data folder, and of the landing folder where that is on another disk."""
    free: dict[str, int] = {}
    disks = set()
    for what, folder in (("data folder", settings.data), ("landing folder", settings.landing_dir)):
        there = _existing(folder.resolve())
        if (disk := there.stat().st_dev) not in disks:
            disks.add(disk)
            free[what] = shutil.disk_usage(there).free
    return rules.low_disk(free, settings.alert_disk_gb)


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


def _keys(settings: Settings, now_us: int) -> list[Alert]:
    return rules.key_rotation(KeyRing.of(settings).epochs(), settings.late_days, now_us)


LOOKS = {
    "runs": Look(0, _runs),
    "disk": Look(0, _disk),
    "endpoints": Look(60, _endpoints),
    "files": Look(300, _files),  # reads a month of the ledger
    "feeds": Look(600, _feeds),  # reads the state of every podcast: 0.3 s for a million
    "keys": Look(3600, _keys),
}
