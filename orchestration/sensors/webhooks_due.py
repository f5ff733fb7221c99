"""Asks for a delivery run when webhooks are due, or so soon that it waits: digests go out on their minute."""

from __future__ import annotations

import dagster as dg

from ingest.lake import utc_now_us
from orchestration.assets.webhooks import ALL_SHARDS, webhooks_job
from orchestration.constants import (
    SENSOR_INTERVAL_S,
    WEBHOOKS_JOB,
)
from orchestration.liveness import report_dead_runs
from orchestration.resources import Installation
from orchestration.sensors.feeds_due import told
from orchestration.sensors.runs import NO_AUTOMATIC_RETRY, UNDER_WAY
from registry.database import connected
from registry.deliveries import due_shards
from registry.leases import taken
from registry.subscriptions import ENDPOINT_SHARDS, listing
from registry.tables import endpoint_leases
from serving.webhooks.deliver import SOON_S


@dg.sensor(
    job=webhooks_job,
    minimum_interval_seconds=SENSOR_INTERVAL_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Changes wait in the outbox, or a digest's time comes: tell who asked.",
)
def webhooks_due_sensor(context: dg.SensorEvaluationContext, installation: Installation) -> dg.SensorResult:
    settings = installation.settings()
    for run_id in report_dead_runs(context.instance, WEBHOOKS_JOB, settings):
        context.log.warning(f"run {run_id} has lost its process; what it did not deliver is sent again")
    if context.instance.get_runs(dg.RunsFilter(job_name=WEBHOOKS_JOB, statuses=UNDER_WAY), limit=1):
        return dg.SensorResult(skip_reason="a run is under way")
    now_us = utc_now_us()
    with connected(settings.registry, settings.data) as engine:
        if len(taken(engine, now_us, endpoint_leases)[0]) == ENDPOINT_SHARDS:
            return dg.SensorResult(skip_reason="a sender is at all endpoints: `earshot deliver`")
        due = due_shards(engine, now_us)
        if not due and not listing(engine):
            return dg.SensorResult(skip_reason="nobody is subscribed: `earshot subscribe URL`")
    if not due:
        return dg.SensorResult(skip_reason="nothing waits to be delivered")
    first_us = min(due.values())
    if first_us > now_us + SOON_S * 1e6:
        return dg.SensorResult(skip_reason=f"nothing is due before {told(first_us, now_us)}")
    # To all endpoints: what becomes due meanwhile goes out, too.
    return dg.SensorResult(run_requests=[dg.RunRequest(tags=ALL_SHARDS | NO_AUTOMATIC_RETRY)])
