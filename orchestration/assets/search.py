"""The index by which the API finds podcasts and episodes: kept up with what sweeps committed."""

from collections.abc import Iterator

import dagster as dg

from orchestration.constants import OWNERS, PODCAST_FEEDS, SEARCH_INDEX
from orchestration.liveness import hold
from orchestration.resources import Installation
from orchestration.subjects import Subject
from serving.metadata.index import update


@dg.asset(
    name=SEARCH_INDEX,
    deps=[PODCAST_FEEDS],
    output_required=False,  # nothing new: no event
    group_name=Subject.PUBLISHED.value,
    owners=OWNERS,
    kinds={"sqlite"},
    description=(
        "Podcasts by title and author, episodes by guid and enclosure, for `/v1/search` and `/v1/episodes` "
        "(SQLite FTS5, `search/catalogue.db`). Each shard's news is one transaction. `earshot sweep` does "
        "it, too."
    ),
)
def search_index(
    context: dg.AssetExecutionContext, installation: Installation
) -> Iterator[dg.MaterializeResult[None]]:
    settings = installation.settings()
    hold(context.run_id, settings)
    done = update(settings)
    if done.is_rebuilt:
        context.log.info("the index was made anew")
    if done.shards or done.is_rebuilt:
        counts = {name: value for name, value in vars(done).items() if name not in ("total", "is_rebuilt")}
        yield dg.MaterializeResult(metadata={"dagster/row_count": done.total, **counts})
