"""Takes the catalogue in again when one of its CSV files has changed, and once more where that failed."""

import hashlib
import time
from itertools import takewhile

import dagster as dg

from ingest.settings import Settings
from ingest.sources import CATALOG
from orchestration.assets.catalog import catalog_files, catalog_job
from orchestration.constants import (
    CATALOG_INTERVAL_S,
    CATALOG_JOB,
    CATALOG_PAUSES_S,
    CATALOG_TAG,
)
from orchestration.liveness import report_dead_runs
from orchestration.resources import Installation
from orchestration.sensors.runs import NO_AUTOMATIC_RETRY, UNDER_WAY


@dg.sensor(
    job=catalog_job,
    minimum_interval_seconds=CATALOG_INTERVAL_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="The catalogue's CSV files changed, or the run that took them in failed: take them in.",
)
def catalog_sensor(context: dg.SensorEvaluationContext, installation: Installation) -> dg.SensorResult:
    settings = installation.settings()
    state = catalog_state(settings)
    for run_id in report_dead_runs(context.instance, CATALOG_JOB, settings):
        context.log.warning(f"run {run_id} has lost its process; the catalogue is taken in again")
    if state is None:
        return dg.SensorResult(skip_reason=f"no CSV file in {settings.landing_dir / CATALOG}")
    if context.instance.get_runs(dg.RunsFilter(job_name=CATALOG_JOB, statuses=UNDER_WAY), limit=1):
        return dg.SensorResult(skip_reason="the catalogue is being taken in; the change waits for that run")
    if state == context.cursor and (reason := why_not_again(context.instance, state, time.time())):
        if reason.startswith(GIVEN_UP):
            context.log.error(reason)
        return dg.SensorResult(skip_reason=reason)
    # Without a key: the same files may be put back after others, and then are new.
    request = dg.RunRequest(tags={CATALOG_TAG: state, **NO_AUTOMATIC_RETRY})
    return dg.SensorResult(run_requests=[request], cursor=state)


GIVEN_UP = "given up"


def why_not_again(instance: dg.DagsterInstance, state: str, now: float) -> str | None:
    """Why files in this state are not asked for once more; None: they are, for no run has taken them in.

    The newest run of the job speaks, also one by hand. now: epoch seconds.
    """
    # One more than may fail, so that what stands before them is seen.
    newest = instance.get_run_records(dg.RunsFilter(job_name=CATALOG_JOB), limit=len(CATALOG_PAUSES_S) + 1)
    # A run without the tag was started by hand, or by a former Earshot.
    ours = [each for each in newest if each.dagster_run.tags.get(CATALOG_TAG) in (state, None)]
    if not newest or (ours and ours[0].dagster_run.status is dg.DagsterRunStatus.SUCCESS):
        return "the catalogue has not changed"
    failed = sum(
        1 for _ in takewhile(lambda each: each.dagster_run.status is not dg.DagsterRunStatus.SUCCESS, ours)
    )
    if failed > len(CATALOG_PAUSES_S):
        return (
            f"{GIVEN_UP} after {failed} runs, the last {newest[0].dagster_run.run_id}: mend what its last "
            "red event names and deliver the file again, or start the job yourself"
        )
    ended = newest[0].end_time or newest[0].create_timestamp.timestamp()
    # An end after now: the clock was set back, or an instant was rounded.
    wait_s = CATALOG_PAUSES_S[max(failed, 1) - 1] - max(0.0, now - ended)
    if wait_s > 0:
        return f"the last run failed; the catalogue is asked for again in {wait_s:,.0f} s"
    return None


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
