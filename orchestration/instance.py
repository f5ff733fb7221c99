"""Dagster's own home: one folder below the data folder; SQLite there, or PostgreSQL; two cores."""

from __future__ import annotations

from pathlib import Path

from ingest.durable import write_atomically
from ingest.settings import Settings
from orchestration.constants import FEEDS_TAG, SOURCE_TAG, WEBHOOKS_TAG

DEPLOYED = Path("/var/lib/earshot/data")


def home(settings: Settings) -> Path:
    """DAGSTER_HOME of this installation, absolute."""
    return settings.data.resolve() / "dagster"


def prepare_home(settings: Settings) -> Path:
    """Write `dagster.yaml` and return the folder to set DAGSTER_HOME to."""
    folder = home(settings)
    wanted = dagster_yaml(settings).encode()
    path = folder / "dagster.yaml"
    if not path.exists() or path.read_bytes() != wanted:
        write_atomically(path, wanted)
    return folder


def dagster_yaml(settings: Settings) -> str:
    """The instance configuration; deploy/dagster.yaml is that of /var/lib/earshot/data with PostgreSQL."""
    here = home(settings)
    storage = _POSTGRES if settings.dagster_db else _SQLITE.format(folder=_text(here / "storage"))
    return f"""\
# Written by Earshot at each start; put changes into orchestration/instance.py.
storage:
  custom:
{storage}compute_logs:
  module: dagster._core.storage.local_compute_log_manager
  class: LocalComputeLogManager
  config:
    base_dir: {_text(here / "logs")}
local_artifact_storage:
  module: dagster._core.storage.root
  class: LocalArtifactStorage
  config:
    base_dir: {_text(here)}
run_launcher:
  module: orchestration.launcher
  class: ForkLauncher
run_queue:
  # The default of 5 s would be a sixth of the way from a landed file to its published mart.
  dequeue_interval_seconds: 1
concurrency:
  runs:
    # Two cores: an ingest run and a build of the marts side by side, and a sweep of feeds and a delivery of
    # webhooks, which mostly wait.
    max_concurrent_runs: 4
    tag_concurrency_limits:
      # Runs of one source would only wait for the same disk, and each takes all there is.
      - key: {SOURCE_TAG}
        value:
          applyLimitPerUniqueValue: true
        limit: 1
      - key: {FEEDS_TAG}
        limit: 1
      - key: {WEBHOOKS_TAG}
        limit: 1
  pools:
    # By run, not by step: a run that cannot have the warehouse stays in the queue, where it costs nothing.
    granularity: run
    default_limit: 1
run_monitoring:
  enabled: true
  start_timeout_seconds: 180
  cancel_timeout_seconds: 180
  poll_interval_seconds: 15
  # A cancelled run would keep its pool slot otherwise.
  free_slots_after_run_end_seconds: 60
run_retries:
  enabled: true
  max_retries: 3
  # Only a crash is worth a blind retry; a failed check or a broken model will fail again.
  retry_on_asset_or_op_failure: false
# Our own sensors say when something is due; no asset has an automation condition or a freshness policy.
auto_materialize:
  enabled: false
  use_sensors: false
freshness:
  enabled: false
retention:
  sensor:
    # A tick every 5 s: 17,000 a day and sensor.
    purge_after_days:
      skipped: 1
      success: 30
      failure: 30
      started: 1
telemetry:
  enabled: false
nux:
  enabled: false
"""


_SQLITE = """\
    # SQLite, its connections kept.
    module: orchestration.storage
    class: KeptStorage
    config:
      base_dir: {folder}
"""
_POSTGRES = """\
    # PostgreSQL through postgresql+psycopg2, its connections kept, schema dagster; no password in this file.
    module: orchestration.postgres_storage
    class: PostgresStorage
    config:
      postgres_url:
        env: EARSHOT_DAGSTER_DB
"""


def main() -> None:
    """Print deploy/dagster.yaml: that of the units, the image and docs/operations.md."""
    print(dagster_yaml(Settings(data=DEPLOYED, dagster_db="postgresql://")), end="")


def _text(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


if __name__ == "__main__":
    main()
