"""Code location `ingest`: what comes in, and who is told of it.

Never imports dagster-dbt: a broken dbt project cannot stop it.
"""

from __future__ import annotations

import dagster as dg

from orchestration.assets.catalog import catalog_episodes, catalog_job
from orchestration.assets.collaborations import collaborations
from orchestration.assets.feed_sources import (
    directories_job,
    directories_schedule,
    feed_directories,
    feed_notices,
    notices_job,
)
from orchestration.assets.feeds import (
    feeds_job,
    podcast_feeds,
    tracked_job,
    tracked_podcasts,
    tracked_schedule,
)
from orchestration.assets.hubs import hub_subscriptions, hubs_job, hubs_schedule
from orchestration.assets.ingest import ingest_job, take_in_logs
from orchestration.assets.maintenance import lake_maintenance, maintenance_job, maintenance_schedule
from orchestration.assets.reference import lists_job, lists_schedule, reference_lists
from orchestration.assets.restate import restated_days
from orchestration.assets.search import search_index
from orchestration.assets.webhooks import change_webhooks, webhooks_job, webhooks_schedule
from orchestration.by_hand.feeds import refresh_job
from orchestration.by_hand.logs import rebuild_month_job, restate_job, take_in_job
from orchestration.by_hand.webhooks import replay_job
from orchestration.resources import Installation
from orchestration.sensors.alerts import alerts_sensor, run_failures_sensor
from orchestration.sensors.catalog import catalog_sensor
from orchestration.sensors.feed_notices import feed_notices_sensor
from orchestration.sensors.feeds_due import feeds_due_sensor
from orchestration.sensors.landing import landing_sensor
from orchestration.sensors.webhooks_due import webhooks_due_sensor

defs = dg.Definitions(
    assets=[
        take_in_logs,
        catalog_episodes,
        restated_days,
        reference_lists,
        lake_maintenance,
        feed_notices,
        feed_directories,
        hub_subscriptions,
        podcast_feeds,
        tracked_podcasts,
        collaborations,
        change_webhooks,
        search_index,
    ],
    jobs=[
        take_in_job,
        rebuild_month_job,
        restate_job,
        refresh_job,
        replay_job,
        ingest_job,
        catalog_job,
        lists_job,
        maintenance_job,
        notices_job,
        directories_job,
        hubs_job,
        feeds_job,
        tracked_job,
        webhooks_job,
    ],
    schedules=[
        lists_schedule,
        maintenance_schedule,
        directories_schedule,
        hubs_schedule,
        tracked_schedule,
        webhooks_schedule,
    ],
    sensors=[
        landing_sensor,
        catalog_sensor,
        feed_notices_sensor,
        feeds_due_sensor,
        webhooks_due_sensor,
        run_failures_sensor,
        alerts_sensor,
    ],
    resources={"installation": Installation()},
    executor=dg.in_process_executor,  # a process a step would cost 5.5 CPU-s each
)
