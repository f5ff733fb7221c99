"""WebSub hubs: those that feeds name are asked to tell us of changes, and asked again before that ends."""

import dagster as dg

from ingest.feeds.sources.settings import FILE
from ingest.settings import SettingError
from orchestration.constants import (
    HUB_SUBSCRIPTIONS,
    HUBS_BUDGET_S,
    HUBS_CRON,
    HUBS_JOB,
    OWNERS,
    PODCAST_FEEDS,
)
from orchestration.liveness import hold, report_dead_runs
from orchestration.resources import Installation
from orchestration.sensors.runs import NO_AUTOMATIC_RETRY, UNDER_WAY
from orchestration.subjects import Subject
from registry.asking_hubs import ask_hubs, websub_settings


@dg.asset(
    name=HUB_SUBSCRIPTIONS,
    deps=[PODCAST_FEEDS],  # they name the hubs
    group_name=Subject.FEEDS.value,
    owners=OWNERS,
    kinds={"python"},
    description=(
        "WebSub hubs that feeds name are asked to tell us of changes, each within its budget, and asked "
        "again before their lease ends. They answer at the API, `/v1/hints/websub/`."
    ),
)
def hub_subscriptions(
    context: dg.AssetExecutionContext, installation: Installation
) -> dg.MaterializeResult[None]:
    settings = installation.settings()
    hold(context.run_id, settings)
    done = ask_hubs(settings, HUBS_BUDGET_S)
    for reason in done.reasons:
        context.log.warning(reason)
    counts = {name: value for name, value in vars(done).items() if name != "reasons"}
    return dg.MaterializeResult(metadata={"dagster/row_count": done.wanted, **counts})


hubs_job = dg.define_asset_job(
    HUBS_JOB, selection=[HUB_SUBSCRIPTIONS], description="Ask the hubs of feeds to tell us of changes."
)


@dg.schedule(
    name=HUBS_JOB,
    job=hubs_job,
    cron_schedule=HUBS_CRON,
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Ask the hubs of feeds to tell us of changes, where that is due.",
)
def hubs_schedule(
    context: dg.ScheduleEvaluationContext, installation: Installation
) -> dg.RunRequest | dg.SkipReason:
    settings = installation.settings()
    try:
        if websub_settings(settings) is None:
            return dg.SkipReason(
                f"no hub is asked; to do so, name `callback` and `secret_env` in `[websub]` of "
                f"{settings.data / FILE} (docs/feeds.md)"
            )
    except SettingError as error:
        return dg.SkipReason(f"no hub is asked: {error}")
    for run_id in report_dead_runs(context.instance, HUBS_JOB, settings):
        context.log.warning(f"run {run_id} has lost its process; the next one asks whom it did not")
    if context.instance.get_runs(dg.RunsFilter(job_name=HUBS_JOB, statuses=UNDER_WAY), limit=1):
        return dg.SkipReason("hubs are being asked")
    return dg.RunRequest(tags=NO_AUTOMATIC_RETRY)
