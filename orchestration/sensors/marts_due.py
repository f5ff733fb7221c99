"""Asks for one build of the marts when there are new requests, a new catalogue or other collaborations.

Not `AutomationCondition.eager()`: below hourly partitions it never fires while one is missing, and it ignores
late hours (DESIGN §2).
"""

import time

import dagster as dg

from orchestration.assets.marts import NEW_ONLY, build_config, marts_job, scope
from orchestration.constants import (
    ATTEMPT_TAG,
    CATALOG_EPISODES,
    COLLABORATIONS,
    DAYS_TAG,
    EVENT_DAYS,
    MAINTENANCE_JOB,
    MARTS_JOB,
    MAX_EVENTS_PER_TICK,
    REQUESTS,
    RESTATED_DAYS,
    SCOPE_TAG,
    SENSOR_INTERVAL_S,
    TRACKED_PODCASTS,
    UP_TO_TAG,
)
from orchestration.liveness import report_dead_runs
from orchestration.resources import Installation
from orchestration.sensors.marts_plan import Change, Cursor, Outcome, days_tag, make_plan
from orchestration.sensors.runs import NO_AUTOMATIC_RETRY, UNDER_WAY


@dg.sensor(
    job=marts_job,
    minimum_interval_seconds=SENSOR_INTERVAL_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="New requests, catalogue or collaborations: build the marts once for all, then publish.",
)
def marts_due_sensor(context: dg.SensorEvaluationContext, installation: Installation) -> dg.SensorResult:
    instance = context.instance
    settings = installation.settings()
    for run_id in report_dead_runs(instance, MARTS_JOB, settings):
        context.log.warning(f"run {run_id} has lost its process; the marts are built again")
    for run_id in report_dead_runs(instance, MAINTENANCE_JOB, settings):  # no build could have its turn
        context.log.warning(f"run {run_id} has lost its process; the lake is seen to tomorrow")
    cursor = read_cursor(context.cursor)
    plan = make_plan(
        cursor,
        changes_since(instance, cursor.asked),
        outcome_of(instance, cursor),
        is_any_under_way=bool(
            instance.get_runs(dg.RunsFilter(job_name=MARTS_JOB, statuses=UNDER_WAY), limit=1)
        ),
        since_last_s=seconds_since_last_build(instance),
        now=time.time(),
    )
    text = plan.cursor.model_dump_json()
    if not plan.is_due:
        return dg.SensorResult(skip_reason=plan.reason, cursor=text)
    request = dg.RunRequest(
        run_key=f"marts:{plan.cursor.asked}:{plan.cursor.attempt}:{scope(plan.cursor.is_whole)}",
        run_config=build_config(plan.cursor.is_whole),
        asset_selection=None if plan.cursor.is_whole else NEW_ONLY,
        tags={
            SCOPE_TAG: scope(plan.cursor.is_whole),
            UP_TO_TAG: str(plan.cursor.asked),
            ATTEMPT_TAG: str(plan.cursor.attempt),
            DAYS_TAG: days_tag(plan.cursor.days),
            **NO_AUTOMATIC_RETRY,
        },
    )
    return dg.SensorResult(run_requests=[request], cursor=text)


def changes_since(instance: dg.DagsterInstance, storage_id: int) -> list[Change]:
    """Materialisations of what the marts are made from after `storage_id`, oldest first."""
    changes = []
    for asset in (REQUESTS, CATALOG_EPISODES, RESTATED_DAYS, TRACKED_PODCASTS, COLLABORATIONS):
        found = instance.fetch_materializations(
            dg.AssetRecordsFilter(dg.AssetKey(asset), after_storage_id=storage_id),
            limit=MAX_EVENTS_PER_TICK,
            ascending=True,
        )
        for record in found.records:
            materialization = record.asset_materialization
            days = materialization.metadata.get(EVENT_DAYS) if materialization else None
            changes.append(
                Change(
                    record.storage_id,
                    tuple(days.value) if days else (),  # type: ignore[arg-type]
                    needs_whole=asset == COLLABORATIONS,  # attribution is made by whole builds only
                )
            )
    return sorted(changes, key=lambda change: change.storage_id)


def outcome_of(instance: dg.DagsterInstance, cursor: Cursor) -> Outcome:
    """How the build asked for last went; a later run of the job, say one launched by hand, speaks for it."""
    if not cursor.attempt:
        return Outcome.NONE
    ours = {
        UP_TO_TAG: str(cursor.asked),
        ATTEMPT_TAG: str(cursor.attempt),
        SCOPE_TAG: scope(cursor.is_whole),
    }
    if not instance.get_runs(dg.RunsFilter(job_name=MARTS_JOB, tags=ours), limit=1):
        return Outcome.NONE
    newest = instance.get_runs(dg.RunsFilter(job_name=MARTS_JOB), limit=1)[0]
    if newest.status is dg.DagsterRunStatus.SUCCESS:
        return Outcome.SUCCEEDED
    return Outcome.FAILED if newest.is_finished else Outcome.UNDER_WAY


def seconds_since_last_build(instance: dg.DagsterInstance) -> float | None:
    """Time since the newest run of the marts job was created; None without any."""
    records = instance.get_run_records(dg.RunsFilter(job_name=MARTS_JOB), limit=1)
    return time.time() - records[0].create_timestamp.timestamp() if records else None


def read_cursor(text: str | None) -> Cursor:
    """The cursor; one that cannot be read (an older version's) is as good as none: one build too many."""
    try:
        return Cursor.model_validate_json(text) if text else Cursor()
    except ValueError:
        return Cursor()
