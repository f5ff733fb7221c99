"""A podcast by hand: polled now, whenever it would be due."""

import dagster as dg
from pydantic import Field

from ingest.feeds.schema import shard_of
from ingest.lake import utc_now_us
from orchestration.assets.feeds import materialized, told
from orchestration.by_hand.started import TAGS, preset, refuse, tag_run
from orchestration.constants import FEEDS_TAG, PODCAST_FEEDS, REFRESH_JOB, SWEEP_BUDGET_S
from orchestration.liveness import hold
from orchestration.resources import Installation
from registry import hints
from registry.database import connected
from registry.named import HOW, Names
from registry.polling import sweep_shards


class RefreshConfig(dg.Config):
    """Which podcast."""

    podcast: str = Field(default="", description=HOW)


@dg.op(description="Poll one podcast now, and what else is due in its shard.")
def poll_podcast(context: dg.OpExecutionContext, config: RefreshConfig, installation: Installation) -> None:
    settings, lake = installation.settings(), installation.lake()
    hold(context.run_id, settings)
    if not config.podcast.strip():
        raise refuse(f"name the podcast: {HOW}")
    with connected(settings.registry, settings.data) as engine:
        names = Names(engine, lake.root)
        found = names.meant(config.podcast)
        if not found:
            alike = ", ".join(names.alike(config.podcast))
            raise refuse(f"no podcast is named so{f'; alike: {alike}' if alike else ''}: name {HOW}")
        if len(found) > 1:
            raise refuse(f"several are named so: {names.told(found)}. Name one by its key")
        key = found[0].podcast_key
        if not hints.add(engine, [hints.Hint(key, hints.ASKED, utc_now_us())]):
            raise refuse(f"podcast {key} is not polled any more; `earshot register URL` begins to")
    tag_run(context, podcast=str(key))
    swept = sweep_shards(settings, [shard_of(key)], SWEEP_BUDGET_S)
    for outcome in swept.outcomes:
        if outcome.polled:
            context.log_event(materialized(outcome))
    context.log_event(dg.AssetObservation(PODCAST_FEEDS, metadata=told(swept)))
    if swept.broken:
        raise dg.Failure("; ".join(swept.broken.values()), allow_retries=False)
    if not swept.outcomes:
        context.log.warning(f"a worker is at its shard: podcast {key} is polled with its next sweep")


@dg.job(
    name=REFRESH_JOB,
    tags=TAGS | {FEEDS_TAG: "one"},
    config=preset("poll_podcast", podcast=""),
    description=(
        "Poll one podcast now, whenever it would be due: for after its publisher says that a change is not "
        "seen. What changed is told to who subscribed, as ever; `earshot status` shows what its feed said."
    ),
)
def refresh_job() -> None:
    poll_podcast()
