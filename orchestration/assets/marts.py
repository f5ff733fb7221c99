"""The marts: dbt builds them, then they are published."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
from dagster_dbt import dbt_assets

from ingest.lake import LakeDamaged, reading, stop_if_damaged
from ingest.retention import why_not_anew
from ingest.settings import Settings
from orchestration import explained
from orchestration.constants import (
    MARTS_JOB,
    OWNERS,
    POSTGRES_CHECK,
    PUBLISHED_MARTS,
    WAREHOUSE_POOL,
    WHOLE_TAG,
)
from orchestration.dbt_args import build_args, dbt_environment, target_dir
from orchestration.dbt_manifest import ensure_manifest
from orchestration.dbt_resource import LeanDbt, environment
from orchestration.dbt_translator import WarehouseTranslator
from orchestration.liveness import hold
from orchestration.previews import markdown
from orchestration.resources import Installation
from orchestration.subjects import Subject
from orchestration.warehouse import changed_days, downloads_by_day, lacks_any, look, top_shows
from serving.change import NOTHING, Change, State
from serving.postgres import marts_database
from serving.publish import DATABASE_NAME, MARTS_SCHEMA, Publication, publish
from serving.told import keep_told

# The graph is read from dbt's manifest, so this one needs the settings when the code is loaded.
manifest = ensure_manifest(Settings.from_env())


class BuildConfig(dg.Config):
    """How to build: what is new (always right), or everything from the lake; with or without dbt's tests."""

    full_refresh: bool = False
    is_whole: bool = True


@dbt_assets(
    manifest=manifest,
    name="dbt_models",
    dagster_dbt_translator=WarehouseTranslator(),
    pool=WAREHOUSE_POOL,
)
def dbt_models(
    context: dg.AssetExecutionContext, config: BuildConfig, dbt: LeanDbt, installation: Installation
) -> Iterator[Any]:
    settings = installation.settings()
    hold(context.run_id, settings)
    would_begin_anew = config.full_refresh or _is_lost(settings)
    if would_begin_anew and (first := installation.lake().first_kept_day()):
        raise dg.Failure(why_not_anew(first, settings.warehouse), allow_retries=False)
    try:
        stop_if_damaged(settings.lake_dir)
    except LakeDamaged as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    if config.full_refresh:
        keep_told(settings.published_dir / "current" / DATABASE_NAME, installation.lake())
    target = target_dir(settings)
    before = State.of(settings.warehouse)
    last_build(settings).unlink(missing_ok=True)
    events: list[Any] = []
    failure: Exception | None = None
    is_mended = False
    with reading(settings.lake_dir), environment(dbt_environment(settings)):
        if not config.is_whole and lacks_any(settings.warehouse, MADE):
            # The first whole build was killed: what a batch's build leaves out, its models read.
            context.log.warning("the warehouse lacks tables: all are built")
            dbt.cli(build_args(tests=False), raise_on_error=False, target_path=target).wait()
            is_mended = True
        stream = dbt.cli(
            build_args(full_refresh=config.full_refresh, tests=config.is_whole),
            context=context,
            target_path=target,
        ).stream()
        try:
            # To the end first: only then has dbt let go of the warehouse, and rows can be counted.
            events.extend(stream)
        except Exception as error:
            failure = error
    # A batch's build reads no row more than it must: rows and previews come with the whole builds.
    yield from with_rows(context, events, settings) if config.is_whole else events
    if failure:
        raise failure
    if not is_mended and not config.full_refresh and context.selected_asset_keys >= BUILT_BY_BATCH:
        what_changed(settings, before, config.is_whole).write(last_build(settings))


def _is_lost(settings: Settings) -> bool:
    """Marts were published, and the warehouse they are from is gone."""
    return not settings.warehouse.exists() and (settings.published_dir / "current").exists()


def last_build(settings: Settings) -> Path:
    """Where a build leaves its `Change` for the publication that follows."""
    return settings.data / "dbt" / "last_build.json"


def what_changed(settings: Settings, before: State | None, is_whole: bool) -> Change:
    """What the build that has just ended did to the marts, which `before` it were in that state."""
    after = State.of(settings.warehouse)
    assert after is not None
    kept = () if is_whole else tuple(spec.key.path[-1] for spec in dbt_models.specs if WHOLE_TAG in spec.tags)
    counted_by = dbt_environment(settings)
    rules = [f"{name}={counted_by[name]}" for name in sorted(counted_by) if name.startswith("EARSHOT_")]
    # Only ever compared, and told to whoever reads the marts: not where they lie on this machine.
    digest = hashlib.blake2b("\0".join(rules).encode(), digest_size=8).hexdigest()
    return Change(before or NOTHING, after, changed_days(settings.warehouse), kept, digest)


def with_rows(context: dg.AssetExecutionContext, events: list[Any], settings: Settings) -> Iterator[Any]:
    """dbt's events, those of tables and marts with row count and preview."""
    keys = {
        event.output_name: tuple(context.asset_key_for_output(event.output_name).path)
        for event in events
        if isinstance(event, dg.Output)
    }
    seen = look(settings.warehouse, keys.values()) if keys else {}
    for event in events:
        if isinstance(event, dg.Output) and (relation := keys[event.output_name]) in seen:
            rows, preview = seen[relation]
            event = event.with_metadata(
                {**event.metadata, "dagster/row_count": rows, "preview": dg.MetadataValue.md(preview)}
            )
        yield event


@dg.asset(
    name=PUBLISHED_MARTS,
    deps=[key for key in dbt_models.keys if key.path[0] == MARTS_SCHEMA],
    group_name=Subject.PUBLISHED.value,
    owners=OWNERS,
    kinds={"duckdb", "parquet"},
    pool=WAREHOUSE_POOL,
    retry_policy=dg.RetryPolicy(max_retries=2, delay=10),  # someone may have the warehouse open for a moment
    description=(
        "The marts as readers get them: a new `published/<version>` with `marts.duckdb` (for the team), "
        "`shared.duckdb` (what others may have) and Parquet by subject, then `published/current` points to "
        "it. Open the real path of `published/current/shared.duckdb`. PostgreSQL follows (EARSHOT_MARTS_DB)."
    ),
    check_specs=[
        dg.AssetCheckSpec(
            POSTGRES_CHECK,
            asset=PUBLISHED_MARTS,
            description=explained.check(
                "The schema `marts` of PostgreSQL, where EARSHOT_MARTS_DB names one, holds the published "
                "version.",
                "the files are published all the same, and PostgreSQL keeps its former version. Mend what "
                "the message says; the next publication loads it.",
            ),
        )
    ],
)
def published_marts(
    context: dg.AssetExecutionContext, installation: Installation
) -> Iterator[dg.MaterializeResult[None]]:
    settings = installation.settings()
    hold(context.run_id, settings)
    done = publish(
        settings.warehouse,
        settings.published_dir,
        settings.keep_versions,
        window=settings.window.value,
        change=Change.read(last_build(settings)),
        postgres=marts_database(settings),
        lake=settings.lake_dir,
    )
    yield dg.MaterializeResult(
        check_results=[postgres_verdict(done)],
        metadata={
            "version": done.version,
            "path": dg.MetadataValue.path(os.fspath(done.database.resolve())),
            "bytes": done.total_bytes,
            "copied_whole": done.is_whole,
            "rows": sum(table.rows for table in done.tables),
            "marts": dg.MetadataValue.md(
                markdown_tables([(table.name, table.rows, table.parquet_bytes) for table in done.tables])
            ),
            "top shows": dg.MetadataValue.md(top_shows(done.database)),
            "downloads by day": dg.MetadataValue.md(downloads_by_day(done.database)),
        },
    )


def postgres_verdict(done: Publication) -> dg.AssetCheckResult:
    """Whether PostgreSQL has what was published as files; where none is set, it lacks nothing."""
    loaded = done.postgres.told if done.postgres else "EARSHOT_MARTS_DB is not set"
    return dg.AssetCheckResult(
        passed=done.postgres_problem is None,
        check_name=POSTGRES_CHECK,
        severity=dg.AssetCheckSeverity.ERROR,
        description=done.postgres_problem or loaded,
    )


def markdown_tables(tables: list[tuple[str, int, int]]) -> str:
    """Name, rows and Parquet bytes of each mart as Markdown."""
    return markdown(pl.DataFrame(tables, schema=["mart", "rows", "parquet_bytes"], orient="row"), rows=100)


MADE: list[tuple[str, str]] = [(spec.key.path[-2], spec.key.path[-1]) for spec in dbt_models.specs]
# What a build makes that is not whole.
BUILT_BY_BATCH = {spec.key for spec in dbt_models.specs if WHOLE_TAG not in spec.tags}
NEW_ONLY = [*sorted(BUILT_BY_BATCH), published_marts.key]


def scope(is_whole: bool) -> str:
    """The tag of a build."""
    return "whole" if is_whole else "new"


def build_config(is_whole: bool) -> dict[str, Any]:
    """Run config of a build."""
    return {"ops": {"dbt_models": {"config": {"is_whole": is_whole}}}}


marts_job = dg.define_asset_job(
    MARTS_JOB,
    selection=dg.AssetSelection.assets(dbt_models, published_marts),
    description="Build the marts from what is new in the lake, then publish them.",
)
