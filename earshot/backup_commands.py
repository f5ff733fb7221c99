"""`earshot backup` and `earshot restore`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from ingest.settings import Settings

if TYPE_CHECKING:
    from earshot.backup.manifest import Manifest


def backup(
    target: Annotated[
        Path, typer.Argument(metavar="FOLDER|FILE.tar", help="new; best on another disk", show_default=False)
    ],
) -> None:
    """Back up registry, keys and lake, while all runs on. What is made of them, and landing, is left out."""
    from earshot.backup.write import backup as backing_up
    from earshot.show import count_progress, say

    screen = Console(stderr=True)
    with count_progress(screen) as progress:
        done = backing_up(Settings.from_env(), target, progress)
    manifest = done.manifest
    say(screen, "backed up", f"{len(manifest.files):,} files, {done.bytes:,} bytes in {done.path}", "green")
    if manifest.left_out:
        say(screen, "left out", ", ".join(manifest.left_out), "bold")
    if (Settings.from_env().landing_dir).exists():
        landing = "log files that were not taken in yet are in landing alone, which is not in it"
        say(screen, "note", landing, "yellow")
    if done.linked:
        say(
            screen, "note", "on the data folder's own disk it shares the lake's files: lost with it", "yellow"
        )
    secret = "it holds listener keys and the registry's secrets: only you can read it (mode 0600), keep it so"
    say(screen, "secret", secret, "yellow")


def restore(
    source: Annotated[Path, typer.Argument(metavar="FOLDER|FILE.tar", show_default=False)],
    to: Annotated[Path, typer.Option(help="the new data folder, absent or empty", show_default=False)],
) -> None:
    """Make a new data folder of a backup, after every checksum was found right."""
    from earshot.backup.restore import restore as restoring
    from earshot.show import count_progress, say

    settings, screen = Settings.from_env(data=to), Console(stderr=True)
    with count_progress(screen) as progress:
        done = restoring(settings, source, to, progress)
    manifest = done.manifest
    in_postgres = f", and {done.tables:,} tables in PostgreSQL" if done.tables else ""
    say(
        screen,
        "restored",
        f"{len(manifest.files):,} files of {manifest.made_at} in {to}{in_postgres}",
        "green",
    )
    if manifest.left_out:
        say(screen, "missing", f"not in the backup: {', '.join(manifest.left_out)}", "bold")
    if done.destroyed:
        told = f"of {len(done.destroyed):,} keys of the listener hash the time is over: not restored"
        say(screen, "destroyed", told, "bold")
    erasures = "people erased since that backup are in it: `earshot privacy apply` (docs/privacy.md)"
    say(screen, "note", erasures, "yellow")
    if absent := _unset(manifest):
        say(screen, "settings", f"set then, and not now: {', '.join(absent)}", "yellow")
    if manifest.has_warehouse:
        from serving.publish import publish

        with count_progress(screen) as progress:
            kept = publish(
                settings.warehouse,
                settings.published_dir,
                settings.keep_versions,
                window=settings.window.value,
                progress=lambda mart, done, of: progress("published", done, of),
            )
        say(screen, "published", f"the marts as they were, as version {kept.version}", "green")
        say(screen, "next", f"EARSHOT_DATA={to} earshot run", "bold")
    else:
        say(screen, "next", f"EARSHOT_DATA={to} earshot rebuild, then earshot run", "bold")


def _unset(manifest: Manifest) -> list[str]:
    import os

    return [name for name in manifest.settings if name not in os.environ and name != "EARSHOT_DATA"]
