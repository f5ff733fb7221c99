"""The looks at an installation: each finds the alerts of its subject, and none keeps another from its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ingest.damage import Damaged, reason
from ingest.feeds.schedule import overdue
from ingest.feeds.state import read_states
from ingest.lake import Lake
from ingest.logs.keyring import KeyRing
from ingest.schema import DAY_US
from ingest.settings import Settings
from registry.database import FILE_NAME, connected
from registry.subscriptions import listing
from serving.alerts import failures, rules
from serving.alerts.alert import Alert, Kind, Severity
from serving.alerts.news import since
from serving.alerts.state import folder
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
    why, advice = reason(error)
    return Alert(
        Kind.CANNOT_LOOK,
        name,
        Severity.CRITICAL,
        printable(f"The look at {name} failed, so what is wrong there is not seen: {why}.", 700),
        f"{advice[0].upper()}{advice[1:]}. `earshot doctor` says what else it finds.",
    )


def begun_anew(aside: Path) -> Alert:
    """The state of alerts was damaged; where it is now."""
    return Alert(
        Kind.CANNOT_LOOK,
        "state of alerts",
        Severity.WARNING,
        printable(
            f"The state of alerts could not be read and was begun anew; the former is {aside}. What is wrong "
            "now is told once more.",
            700,
        ),
        "Is the disk failing? Look at the system's log and `earshot verify`; then remove that file.",
    )


def _runs(settings: Settings, now_us: int) -> list[Alert]:
    try:
        return failures.alerts(failures.known_failures(settings.data))
    except ValueError:
        aside = failures.put_aside(settings.data) or failures.FILE
        advice = "runs that failed before are not known: look in Dagster, Runs, Failed; then remove that file"
        raise Damaged(
            folder(settings.data) / failures.FILE, f"it is begun anew, the former is {aside}", advice
        ) from None


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
        return int(datetime.fromisoformat(told["made_at"]).timestamp() * 1_000_000)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, RecursionError):
        manifest = (settings.published_dir / CURRENT).resolve() / MANIFEST_NAME
        advice = "run the job `marts` in Dagster: it publishes a new version, and this one is used no more"
        raise Damaged(manifest, "it is no manifest of a publication", advice) from None


def _endpoints(settings: Settings, now_us: int) -> list[Alert]:
    if settings.registry is None and not (settings.data / FILE_NAME).exists():
        return []
    with connected(settings.registry, settings.data) as engine:
        return rules.disabled_endpoints(listing(engine))


def _disk(settings: Settings, now_us: int) -> list[Alert]:
    """Of the data folder, and of the landing folder where that is on another disk."""
    free: dict[str, int] = {}
    disks = set()
    for what, path in (("data folder", settings.data), ("landing folder", settings.landing_dir)):
        there = _existing(path.resolve())
        if (disk := there.stat().st_dev) not in disks:
            disks.add(disk)
            free[what] = shutil.disk_usage(there).free
    return rules.low_disk(free, settings.alert_disk_gb)


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _keys(settings: Settings, now_us: int) -> list[Alert]:
    return rules.key_rotation(KeyRing.of(settings).epochs(), settings.late_days, now_us)


def _prefix(settings: Settings, now_us: int) -> list[Alert]:
    """What `earshot edge check` calls wrong, where the prefix was set up."""
    from serving.edge.check import check
    from serving.edge.settings import EdgeSettings

    edge = EdgeSettings.from_env(platform=settings)
    return rules.prefix(check(edge)) if (edge.folder / "current").is_symlink() else []


LOOKS = {
    "runs": Look(0, _runs),
    "disk": Look(0, _disk),
    "endpoints": Look(60, _endpoints),
    "files": Look(300, _files),  # reads a month of the ledger
    "prefix": Look(300, _prefix),  # starts nginx -t
    "feeds": Look(600, _feeds),  # reads the state of every podcast: 0.3 s for a million
    "keys": Look(3600, _keys),
}
