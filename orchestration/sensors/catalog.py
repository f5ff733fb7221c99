"""Takes the catalogue in again when one of its CSV files has changed."""

import hashlib

import dagster as dg

from ingest.settings import Settings
from ingest.sources import CATALOG
from orchestration.assets.catalog import catalog_files, catalog_job
from orchestration.constants import CATALOG_INTERVAL_S, CATALOG_JOB
from orchestration.resources import Installation
from orchestration.sensors.runs import UNDER_WAY


@dg.sensor(
    job=catalog_job,
    minimum_interval_seconds=CATALOG_INTERVAL_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="The catalogue's CSV files changed: take it in again.",
)
def catalog_sensor(context: dg.SensorEvaluationContext, installation: Installation) -> dg.SensorResult:
    settings = installation.settings()
    state = catalog_state(settings)
    if state is None:
        return dg.SensorResult(skip_reason=f"no CSV file in {settings.landing_dir / CATALOG}")
    if state == context.cursor:
        return dg.SensorResult(skip_reason="the catalogue has not changed")
    if context.instance.get_runs(dg.RunsFilter(job_name=CATALOG_JOB, statuses=UNDER_WAY), limit=1):
        return dg.SensorResult(skip_reason="the catalogue is being taken in; the change waits for that run")
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=f"catalog:{state}")], cursor=state)


def catalog_state(settings: Settings) -> str | None:
    """A hash over names, sizes and times of the CSV files; None without any."""
    files = catalog_files(settings)
    if not files:
        return None
    digest = hashlib.sha256()
    for path in files:
        found = path.stat()
        digest.update(f"{path.name}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]
