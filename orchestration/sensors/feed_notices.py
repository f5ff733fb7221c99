"""Asks for a run whenever notices of changed feeds have landed: one at a time, and none for nothing."""

from __future__ import annotations

import hashlib
import time

import dagster as dg

from ingest.lake import utc_now_us
from ingest.settings import SettingError, Settings
from orchestration.assets.feed_sources import notices_job
from orchestration.constants import NOTICES_INTERVAL_S, NOTICES_JOB, NOTICES_RETRY_S
from orchestration.liveness import report_dead_runs
from orchestration.resources import Installation
from orchestration.sensors.runs import NO_AUTOMATIC_RETRY, UNDER_WAY
from registry.noticed import notice_folders


@dg.sensor(
    job=notices_job,
    minimum_interval_seconds=NOTICES_INTERVAL_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Notices of changed feeds in `landing/hints`: one run takes all of them.",
)
def feed_notices_sensor(context: dg.SensorEvaluationContext, installation: Installation) -> dg.SensorResult:
    settings = installation.settings()
    try:
        number, state = waiting(settings)
    except SettingError as error:
        return dg.SensorResult(skip_reason=f"no notice is taken in: {error}")
    if not number:
        return dg.SensorResult(skip_reason=f"no notice is waiting in {settings.hints_dir}")
    for run_id in report_dead_runs(context.instance, NOTICES_JOB, settings):
        context.log.warning(f"run {run_id} has lost its process; its notices are taken again")
    if context.instance.get_runs(dg.RunsFilter(job_name=NOTICES_JOB, statuses=UNDER_WAY), limit=1):
        return dg.SensorResult(skip_reason="notices are being taken in")
    if state == context.cursor:
        last = last_run(context.instance)
        if last is None or last.dagster_run.status is dg.DagsterRunStatus.SUCCESS:
            files = "file lies" if number == 1 else "files lie"
            return dg.SensorResult(
                skip_reason=f"{number:,} {files} in {settings.hints_dir} that could not be read, or not "
                "be put away: see the check notices_readable of the last run"
            )
        if time.time() - (last.end_time or 0) < NOTICES_RETRY_S:
            return dg.SensorResult(skip_reason="the last run failed; its notices are asked for again soon")
    return dg.SensorResult(run_requests=[dg.RunRequest(tags=NO_AUTOMATIC_RETRY)], cursor=state)


def waiting(settings: Settings) -> tuple[int, str]:
    """How many files wait, and a hash over which they are: the same again, and a run took what it could."""
    digest, number, now_us = hashlib.sha256(), 0, utc_now_us()
    for folder in notice_folders(settings):
        for path, identity in folder.seen(now_us):
            number += 1
            digest.update(f"{path!r}\0{identity}\n".encode())
    return number, digest.hexdigest()[:32]


def last_run(instance: dg.DagsterInstance) -> dg.RunRecord | None:
    """The newest run that took notices."""
    return next(iter(instance.get_run_records(dg.RunsFilter(job_name=NOTICES_JOB), limit=1)), None)
