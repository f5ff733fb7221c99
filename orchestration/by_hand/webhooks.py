"""Webhooks by hand: sent once more, each with its first id."""

import dagster as dg
from pydantic import Field

from ingest.lake import utc_now_us
from orchestration.by_hand.started import TAGS, preset, refuse, tag_run
from orchestration.constants import REPLAY_JOB
from orchestration.resources import Installation
from registry.database import connected
from registry.delivery_log import replay, replayable
from registry.subscriptions import UnknownSubscription, get


class ReplayConfig(dg.Config):
    """What is sent again."""

    failed_within_h: float = Field(
        default=24.0, ge=0, description="what was given up within so many hours; 0: whatever became of it"
    )
    subscription: int = Field(default=0, ge=0, description="of this endpoint alone; 0: of all")
    made_within_h: float = Field(
        default=0.0, ge=0, description="of an endpoint: what was made within so many hours; 0: whenever"
    )
    dry_run: bool = Field(default=False, description="count them; send nothing")


@dg.op(description="Have webhooks sent once more.")
def queue_again(context: dg.OpExecutionContext, config: ReplayConfig, installation: Installation) -> None:
    settings, now_us = installation.settings(), utc_now_us()
    one = config.subscription or None
    if not config.failed_within_h and one is None:
        raise refuse("name a subscription, or within how many hours they were given up")
    if config.made_within_h and one is None:
        raise refuse("`made_within_h` goes with a subscription")
    failed_us = now_us - round(config.failed_within_h * 3.6e9) if config.failed_within_h else None
    from_us = now_us - round(config.made_within_h * 3.6e9) if config.made_within_h else None
    with connected(settings.registry, settings.data) as engine:
        try:
            if one is not None:
                get(engine, one)
        except UnknownSubscription as error:
            raise refuse(str(error)) from error
        found = replayable(engine, subscription_id=one, from_us=from_us, failed_since_us=failed_us)
        queued = found.queued
        if not config.dry_run:
            queued = replay(
                engine, subscription_id=one, from_us=from_us, failed_since_us=failed_us, now_us=now_us
            )
    tag_run(context, messages=str(queued))
    context.add_output_metadata(
        {
            "would_send" if config.dry_run else "queued": queued,
            "waiting_anyway": found.waiting,
            "nothing_to_tell": found.void,
            "endpoint_not_active": sum(found.inactive.values()),
        }
    )
    context.log.info(f"{queued} {'would be' if config.dry_run else 'are'} sent again")
    for at, number in sorted(found.inactive.items()):
        context.log.warning(f"{number} of subscription {at} are left alone: `earshot resume {at}` first")


@dg.job(
    name=REPLAY_JOB,
    tags=TAGS,
    config=preset("queue_again", failed_within_h=24.0, subscription=0, made_within_h=0.0, dry_run=False),
    description=(
        "Send webhooks once more, each with its first `webhook-id`, so that a receiver that has one knows "
        "it: what was given up of late, or all of an endpoint since some hours. A delivery run follows "
        "within seconds. Dry run: count them first."
    ),
)
def replay_job() -> None:
    queue_again()
