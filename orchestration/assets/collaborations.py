"""The registry's collaborations, handed to the marts."""

import hashlib
from collections.abc import Iterator

import dagster as dg
import polars as pl
from dagster._core.definitions.data_version import DATA_VERSION_TAG

from ingest.feeds.schema import COLLABORATIONS as COLUMNS
from orchestration.constants import COLLABORATIONS, OWNERS, PODCAST_FEEDS
from orchestration.liveness import hold
from orchestration.previews import markdown
from orchestration.resources import Installation
from orchestration.subjects import Subject
from registry.collaborations import export_collaborations

_COLUMNS = {
    "collaboration_id": "as `earshot collaboration list` numbers it",
    "tenant": "whose it is",
    "type": "guest_swap, promo_swap, feed_drop, host_read or other",
    "podcast_key": "show A, which is to grow",
    "partner_key": "show B, whose listeners hear of A",
    "partner_guid": "of B's episode; null: all of B from starts_us to ends_us",
    "episode_key": "of that episode; null: none is named, or B was never polled",
    "starts_us": "t0: the later of air date and insertion, epoch microseconds",
    "ends_us": "exclusive: as planned, or when it was stopped before; null: open",
    "cost": "what A paid; null: not known",
    "currency": "ISO 4217",
    "notes": "as recorded",
    "state": "active or ended; a void one is not here",
    "created_us": "when it was recorded",
}


@dg.asset(
    name=COLLABORATIONS,
    deps=[PODCAST_FEEDS],  # they say when an episode aired, and which it is
    output_required=False,  # nothing new: nothing for the marts to build
    group_name=Subject.ATTRIBUTION.value,
    owners=OWNERS,
    kinds={"polars", "parquet"},
    metadata={
        "dagster/column_schema": dg.TableSchema(
            [dg.TableColumn(name, str(dtype), _COLUMNS[name]) for name, dtype in COLUMNS.items()]
        )
    },
    description=(
        "One row a collaboration that was recorded (`earshot collaboration add`) and is not void, as the "
        "marts see it: `lake/registry/collaborations.parquet`. It is looked at every ten minutes; an event "
        "is written only where something changed, and then the marts are built as a whole."
    ),
)
def collaborations(
    context: dg.AssetExecutionContext, installation: Installation
) -> Iterator[dg.MaterializeResult[None]]:
    settings = installation.settings()
    hold(context.run_id, settings)
    exported = export_collaborations(settings)
    # Not "was it written just now": a run may have died between its file and its event, and others may
    # export, too. The file is replaced only by another content, so its bytes are its version.
    path = installation.lake().collaborations_path
    version = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    newest = context.instance.get_latest_materialization_event(context.asset_key)
    told = newest.asset_materialization if newest else None
    is_told = (told.tags or {}).get(DATA_VERSION_TAG) == version if told else not exported.collaborations
    if is_told:
        return
    yield dg.MaterializeResult(
        data_version=dg.DataVersion(version),
        metadata={
            "dagster/row_count": exported.collaborations,
            "preview": dg.MetadataValue.md(markdown(_readable(pl.read_parquet(path)))),
        },
    )


def _readable(frame: pl.DataFrame) -> pl.DataFrame:
    """The newest first, with times that people read."""
    times = {name: pl.from_epoch(name, time_unit="us") for name in ("starts_us", "ends_us")}
    return (
        frame.sort("starts_us", descending=True)
        .with_columns(**{name.removesuffix("_us") + "_at": of for name, of in times.items()})
        .select(
            "collaboration_id", "type", "partner_guid", "starts_at", "ends_at", "cost", "currency", "state"
        )
    )
