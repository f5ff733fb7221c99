"""What an installation tells Prometheus beside its API: intake, marts, webhooks, alerts, disks, backup.

Each part is looked at alone: one that fails is missing, is told as failed, and keeps no other away.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Engine, func, select

from ingest.schema import DAY_US
from ingest.settings import Settings
from registry.tables import deliveries, is_pending, subscriptions

KEPT_S = 30.0  # Prometheus asks each 15 s, perhaps twice: the ledger of a day is read once
LAST_BACKUP = ".last-backup.json"  # in the data folder; hidden, so that no backup takes it

Part = Callable[[Settings, Engine, int], Iterable[Metric]]


class PlatformMetrics(Collector):
    """Looked at when asked, and then kept for KEPT_S."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._settings, self._engine = settings, engine
        self._lock = threading.Lock()
        self._kept: list[Metric] = []
        self._until = 0.0

    def collect(self) -> Iterable[Metric]:
        with self._lock:
            if time.monotonic() >= self._until:
                self._kept = list(_all(self._settings, self._engine))
                self._until = time.monotonic() + KEPT_S
            return list(self._kept)


def _all(settings: Settings, engine: Engine) -> Iterator[Metric]:
    now_us = time.time_ns() // 1000
    failed = GaugeMetricFamily(
        "earshot_metrics_failed", "1 where this part could not be looked at.", labels=["part"]
    )
    for name, part in PARTS.items():
        try:
            found = list(part(settings, engine, now_us))
        except Exception:
            failed.add_metric([name], 1)
        else:
            failed.add_metric([name], 0)
            yield from found
    yield failed


def _intake(settings: Settings, engine: Engine, now_us: int) -> Iterator[Metric]:
    """Of the last 24 h, by source; nothing where the lake is on another machine."""
    import polars as pl

    from ingest.lake import Lake

    if not (settings.lake_dir / "FORMAT").exists():
        return
    yesterday = datetime.fromtimestamp((now_us - DAY_US) / 1e6, UTC).date()
    ledger = Lake(settings.lake_dir).ledger(since=yesterday - timedelta(days=1))
    latest = ledger.sort("taken_in_us").unique(["source", "file_name"], keep="last")
    of_day = latest.filter(pl.col("taken_in_us") > now_us - DAY_US)
    lines = GaugeMetricFamily("earshot_lines_24h", "Lines taken in within 24 h.", labels=["source"])
    rejects = GaugeMetricFamily("earshot_rejects_24h", "Of these, unreadable ones.", labels=["source"])
    last = GaugeMetricFamily(
        "earshot_intake_timestamp_seconds", "When a file was last taken in.", labels=["source"]
    )
    held = GaugeMetricFamily(
        "earshot_files_held_24h", "Files that do not count, by their status.", labels=["source", "status"]
    )
    for source, of_lines, of_rejects, at_us in (
        of_day.group_by("source")
        .agg(
            pl.col("lines").fill_null(0).sum(),
            pl.col("rejects").fill_null(0).sum(),
            pl.col("taken_in_us").max(),
        )
        .sort("source")
        .iter_rows()
    ):
        lines.add_metric([source], of_lines)
        rejects.add_metric([source], of_rejects)
        last.add_metric([source], at_us / 1e6)
    not_counted = of_day.filter(pl.col("status").is_in(["held", "rejected"]))
    for source, status, number in (
        not_counted.group_by("source", "status").agg(pl.len()).sort("source", "status").iter_rows()
    ):
        held.add_metric([source, status], number)
    yield from (lines, rejects, last, held)
    waiting = latest.filter((pl.col("status") == "taken") & (pl.col("taken_in_us") > _published_us(settings)))
    yield GaugeMetricFamily(
        "earshot_files_not_published", "Files taken in, but not in the published marts yet.", waiting.height
    )
    oldest_us = waiting["taken_in_us"].min()
    behind_s = (now_us - int(str(oldest_us))) / 1e6 if oldest_us is not None else 0
    yield GaugeMetricFamily(
        "earshot_marts_behind_seconds", "How long the oldest of them has waited; 1800 are promised.", behind_s
    )


def _published_us(settings: Settings) -> int:
    from serving.versions import CURRENT, MANIFEST_NAME

    try:
        told = json.loads((settings.published_dir / CURRENT / MANIFEST_NAME).read_bytes())
    except FileNotFoundError:
        return 0
    return int(datetime.fromisoformat(told["made_at"]).timestamp() * 1_000_000)


def _webhooks(settings: Settings, engine: Engine, now_us: int) -> Iterator[Metric]:
    states = GaugeMetricFamily("earshot_endpoints", "Endpoints of webhooks, by state.", labels=["state"])
    with engine.connect() as connection:
        for state, number in connection.execute(
            select(subscriptions.c.state, func.count())
            .group_by(subscriptions.c.state)
            .order_by(subscriptions.c.state)
        ).tuples():
            states.add_metric([str(state)], number)
        waiting, due, oldest_us = connection.execute(
            select(
                func.count(),
                func.count().filter(deliveries.c.due_us <= now_us),
                func.min(deliveries.c.due_us),
            ).where(is_pending)
        ).one()
    yield states
    yield GaugeMetricFamily("earshot_webhooks_waiting", "Messages that are not sent yet.", waiting)
    yield GaugeMetricFamily("earshot_webhooks_due", "Of these, messages whose time has come.", due)
    late_s = max(now_us - oldest_us, 0) / 1e6 if oldest_us is not None else 0
    yield GaugeMetricFamily("earshot_webhooks_late_seconds", "Since when the oldest of these is due.", late_s)


def _alerts(settings: Settings, engine: Engine, now_us: int) -> Iterator[Metric]:
    from serving.alerts import state as states

    state = states.read(settings.data)
    now = GaugeMetricFamily(
        "earshot_alerts", "What is wrong now (`earshot alerts list`).", labels=["kind", "severity"]
    )
    counted: dict[tuple[str, str], int] = {}
    for each in state.alerts.values():
        if each.gone_us is None:
            key = (each.kind.value, each.severity.value)
            counted[key] = counted.get(key, 0) + 1
    for (kind, severity), number in sorted(counted.items()):
        now.add_metric([kind, severity], number)
    yield now
    if state.looked:
        yield GaugeMetricFamily(
            "earshot_alerts_looked_timestamp_seconds",
            "When alerts were last looked for: each minute, unless Dagster stands still.",
            max(state.looked.values()) / 1e6,
        )


def _disks(settings: Settings, engine: Engine, now_us: int) -> Iterator[Metric]:
    free = GaugeMetricFamily(
        "earshot_disk_free_bytes", "Free for us on the folder's disk.", labels=["folder"]
    )
    size = GaugeMetricFamily("earshot_disk_bytes", "Size of that disk.", labels=["folder"])
    for name, folder in (("data", settings.data), ("landing", settings.landing_dir)):
        if folder.exists():
            usage = shutil.disk_usage(folder)
            free.add_metric([name], usage.free)
            size.add_metric([name], usage.total)
    yield from (free, size)


def _backup(settings: Settings, engine: Engine, now_us: int) -> Iterator[Metric]:
    made_at = last_backup(settings.data)
    if made_at is not None:
        yield GaugeMetricFamily(
            "earshot_backup_timestamp_seconds", "When the last backup was made.", made_at.timestamp()
        )


PARTS: dict[str, Part] = {
    "intake": _intake,
    "webhooks": _webhooks,
    "alerts": _alerts,
    "disks": _disks,
    "backup": _backup,
}


def last_backup(data: Path) -> datetime | None:
    """When the last backup of this data folder was made; None: none that we know of."""
    try:
        told = json.loads((data / LAST_BACKUP).read_bytes())
        return datetime.fromisoformat(told["made_at"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
