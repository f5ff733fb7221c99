"""Notes runs that failed, and each minute looks for what a team must hear of (serving/alerts)."""

from __future__ import annotations

import dagster as dg
from dagster._core.storage.tags import WILL_RETRY_TAG

from ingest.lake import utc_now_us
from ingest.settings import Settings
from orchestration.constants import ALERTS_INTERVAL_S, BY_HAND_TAG, LISTS_JOB, SOURCE_TAG, TRACKED_JOB
from orchestration.liveness import report_dead_runs
from orchestration.resources import Installation
from serving.alerts import failures
from serving.alerts.tell import look_and_tell

# Jobs of schedules alone: no sensor of theirs sees that a run has died, which would keep its place for ever.
_CHECKS_READ = 1000  # a build of the marts has some two hundred
NOBODY_ASKS = (LISTS_JOB, TRACKED_JOB)


@dg.run_failure_sensor(
    monitor_all_code_locations=True,
    minimum_interval_seconds=ALERTS_INTERVAL_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="A run failed, and is not made again by itself: noted for the alerts.",
)
def run_failures_sensor(context: dg.RunFailureSensorContext, installation: Installation) -> None:
    # † No SkipReason: Dagster refuses one beside another run's outcome in the same tick, and then begins
    # each tick at the same runs again, for ever, so that no failure is ever noted.
    run = context.dagster_run
    if run.tags.get(WILL_RETRY_TAG) == "true":
        context.log.info(f"run {run.run_id} of {run.job_name} is made again")
        return
    if BY_HAND_TAG in run.tags:
        context.log.info(f"run {run.run_id} of {run.job_name} was started by hand: who did so sees it")
        return
    steps = [event.step_key for event in context.get_step_failure_events() if event.step_key]
    failures.note(
        installation.settings().data,
        run.job_name,
        run.tags.get(SOURCE_TAG),
        run.run_id,
        _ended_us(context),
        tuple(dict.fromkeys(steps)),
        blocking_checks(context.instance, run.run_id),
    )


def blocking_checks(instance: dg.DagsterInstance, run_id: str) -> tuple[str, ...]:
    """Checks of a run that did not pass and let nothing after them run, by name."""
    found = instance.get_records_for_run(
        run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION, limit=_CHECKS_READ
    )
    evaluated = [
        record.event_log_entry.dagster_event.asset_check_evaluation_data
        for record in found.records
        if record.event_log_entry.dagster_event
    ]
    return tuple(dict.fromkeys(each.check_name for each in evaluated if each.blocking and not each.passed))


def _ended_us(context: dg.RunFailureSensorContext) -> int:
    record = context.instance.get_run_record_by_id(context.dagster_run.run_id)
    ended = record.end_time if record else None
    return int(ended * 1e6) if ended else utc_now_us()


@dg.sensor(
    minimum_interval_seconds=ALERTS_INTERVAL_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Looks for what is wrong and tells who is set to be told: `earshot alerts list`.",
)
def alerts_sensor(context: dg.SensorEvaluationContext, installation: Installation) -> dg.SkipReason:
    settings = installation.settings()
    for job in NOBODY_ASKS:
        for run_id in report_dead_runs(context.instance, job, settings):
            context.log.warning(f"run {run_id} of {job} has lost its process; its place is free")
    take_away_succeeded(context.instance, settings)
    report = look_and_tell(settings)
    for channel, why in report.failed.items():
        context.log.warning(f"{channel}: {why}")
    return dg.SkipReason(report.line)


def take_away_succeeded(instance: dg.DagsterInstance, settings: Settings) -> None:
    """A run of the same job and source that ended well after a failure settles it."""
    try:
        known = failures.known_failures(settings.data)
    except ValueError:
        return  # the look tells of it
    for failure in known:
        tags = {SOURCE_TAG: failure.source} if failure.source else {}
        wanted = dg.RunsFilter(job_name=failure.job, statuses=[dg.DagsterRunStatus.SUCCESS], tags=tags)
        for record in instance.get_run_records(wanted, limit=1):
            if record.end_time:
                failures.succeeded(settings.data, failure.subject, int(record.end_time * 1e6))
