"""`earshot privacy erase` and `apply`: from the lake, then from the marts, to the last copy of our own."""

from __future__ import annotations

from ingest.erasing import pending
from ingest.lake import Lake
from ingest.settings import Settings
from orchestration.erasing import Progress, clear_away, is_counted, prepare_marts
from serving.postgres import marts_database
from serving.publish import publish


def finish(settings: Settings, lake: Lake, build: bool, progress: Progress) -> int:
    """Count and publish the marts without what was erased from the lake; damaged files removed with it.

    build: count now; else only what a build of somebody else's has counted is published. Raises DbtFailed,
    PublishError, MartsInUse; a rerun goes on where it stopped.
    """
    from earshot.pipeline import build_marts

    todo = prepare_marts(settings, lake)
    if todo is None:
        return 0
    if not is_counted(settings, todo):
        if not build:
            return 0
        progress("counting", 0, 1)
        build_marts(settings)
        progress("counting", 1, 1)
    if settings.warehouse.exists() and settings.published_dir.exists():
        publish(
            settings.warehouse,
            settings.published_dir,
            settings.keep_versions,
            window=settings.window.value,
            progress=lambda mart, done, of: progress("publishing", done, of),
            postgres=marts_database(settings),
            lake=settings.lake_dir,
        )
    return clear_away(settings, lake, todo)


def is_finished(settings: Settings) -> bool:
    return pending(settings) is None
