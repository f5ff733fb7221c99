"""The catalogue of shows and episodes, from CSV files."""

from pathlib import Path

import dagster as dg
import polars as pl

from ingest.catalog import take_in_catalog
from ingest.logs.rules import prefixes_in_force
from ingest.settings import Settings
from ingest.sources import CATALOG
from orchestration import explained
from orchestration.constants import CATALOG_EPISODES, CATALOG_JOB, OWNERS
from orchestration.liveness import hold
from orchestration.previews import markdown
from orchestration.resources import Installation
from orchestration.subjects import Subject


def catalog_files(settings: Settings) -> list[Path]:
    """The catalogue's CSV files, by name."""
    return sorted((settings.landing_dir / CATALOG).glob("*.csv"))


@dg.asset(
    name=CATALOG_EPISODES,
    group_name=Subject.CATALOG.value,
    owners=OWNERS,
    kinds={"polars", "parquet"},
    description=explained.asset(
        "One row an enclosure URL of an episode: show, title, publication time, size. Taken from "
        "`landing/catalog/*.csv`; a request is matched to its episode by canonical URL.",
        ("R33",),
    ),
)
def catalog_episodes(
    context: dg.AssetExecutionContext, installation: Installation
) -> dg.MaterializeResult[None]:
    settings, lake = installation.settings(), installation.lake()
    hold(context.run_id, settings)
    files = catalog_files(settings)
    take_in_catalog(files, lake, prefixes_in_force(settings))
    episodes = pl.read_parquet(lake.episodes_path)
    preview = episodes.select("show_title", "episode_title", "enclosure_url", "file_bytes")
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": episodes.height,
            "shows": episodes["show_id"].n_unique(),
            "episodes": episodes["episode_key"].n_unique(),
            "files": len(files),
            "preview": dg.MetadataValue.md(markdown(preview)),
        }
    )


catalog_job = dg.define_asset_job(
    CATALOG_JOB,
    selection=[CATALOG_EPISODES],
    description="Take the catalogue in.",
)
