"""The registry's collaborations, handed to the marts."""

import hashlib
from collections.abc import Iterator

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_TAG

from orchestration.constants import COLLABORATIONS, INGEST_GROUP, OWNERS, PODCAST_FEEDS
from orchestration.resources import Installation
from registry.collaborations import export_collaborations


@dg.asset(
    name=COLLABORATIONS,
    deps=[PODCAST_FEEDS],  # they say when an episode aired, and which it is
    output_required=False,  # nothing new: nothing for the marts to build
    group_name=INGEST_GROUP,
    owners=OWNERS,
    kinds={"polars", "parquet"},
    description=(
        "Who appeared in whose episodes, as the marts see it (`lake/registry/collaborations.parquet`). Told "
        "only where something changed; then the marts are built as a whole."
    ),
)
def collaborations(
    context: dg.AssetExecutionContext, installation: Installation
) -> Iterator[dg.MaterializeResult[None]]:
    exported = export_collaborations(installation.settings())
    # Not "was it written just now": a run may have died between its file and its event, and others may
    # export, too. The file is replaced only by another content, so its bytes are its version.
    version = hashlib.sha256(installation.lake().collaborations_path.read_bytes()).hexdigest()[:16]
    newest = context.instance.get_latest_materialization_event(context.asset_key)
    told = newest.asset_materialization if newest else None
    is_told = (told.tags or {}).get(DATA_VERSION_TAG) == version if told else not exported.collaborations
    if is_told:
        return
    yield dg.MaterializeResult(
        data_version=dg.DataVersion(version), metadata={"dagster/row_count": exported.collaborations}
    )
