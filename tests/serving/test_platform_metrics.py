"""Numbers of an installation: intake, marts, webhooks, alerts, backup."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from ingest.lake import Lake
from ingest.logs.intake import find_landing_files, take_in
from ingest.settings import Settings
from registry.database import connected
from serving.alerts import state as states
from serving.alerts.alert import Alert, Kind, Severity
from serving.alerts.news import merge
from serving.platform_metrics import LAST_BACKUP, PlatformMetrics
from tests.ingest.samples import land, nginx, settings_of


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of(tmp_path)


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    settings.data.mkdir(parents=True, exist_ok=True)
    with connected(None, settings.data) as found:
        yield found


def measured(settings: Settings, engine: Engine) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for metric in PlatformMetrics(settings, engine).collect()
        for sample in metric.samples
    }


def test_intake_and_what_is_not_published_yet(settings: Settings, engine: Engine) -> None:
    assert ("earshot_lines_24h", "edge") not in measured(settings, engine)
    land(settings, nginx() + "torn\n", "edge")
    take_in(
        find_landing_files(settings.model_copy(update={"settle_s": 0})), settings, Lake(settings.lake_dir)
    )
    told = measured(settings, engine)
    assert told[("earshot_lines_24h", "edge")] == 1 + told[("earshot_rejects_24h", "edge")]
    assert told[("earshot_rejects_24h", "edge")] == 1
    assert abs(told[("earshot_intake_timestamp_seconds", "edge")] - time.time()) < 120
    assert told[("earshot_files_not_published",)] == 1
    assert 0 <= told[("earshot_marts_behind_seconds",)] < 120
    current = settings.published_dir / "current"
    current.mkdir(parents=True)
    (current / "manifest.json").write_text(json.dumps({"made_at": datetime.now(UTC).isoformat()}))
    assert measured(settings, engine)[("earshot_files_not_published",)] == 0


def test_alerts_and_the_last_backup(settings: Settings, engine: Engine) -> None:
    now_us = time.time_ns() // 1000
    state = states.State(looked={"disk": now_us})
    alert = Alert(Kind.LOW_DISK, "data folder", Severity.CRITICAL, "It is full.", "Free some.")
    merge(state, {"disk": [alert]}, now_us)
    states.write(state, settings.data)
    (settings.data / LAST_BACKUP).write_text('{"made_at": "2026-11-30T03:17:00+00:00"}')
    told = measured(settings, engine)
    assert told[("earshot_alerts", "low_disk", "critical")] == 1
    assert told[("earshot_alerts_looked_timestamp_seconds",)] == now_us / 1e6
    assert (
        told[("earshot_backup_timestamp_seconds",)] == datetime(2026, 11, 30, 3, 17, tzinfo=UTC).timestamp()
    )
