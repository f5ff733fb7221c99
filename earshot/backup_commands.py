"""`earshot backup` and `earshot restore`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from ingest.owner import acting_as_owner_of, name_of
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

    settings, screen = Settings.from_env(), Console(stderr=True)
    with count_progress(screen) as progress:
        done = backing_up(settings, target, progress)
    manifest = done.manifest
    say(screen, "backed up", f"{len(manifest.files):,} files, {done.bytes:,} bytes in {done.path}", "green")
    if manifest.left_out:
        say(screen, "left out", ", ".join(manifest.left_out), "bold")
    if settings.landing_dir.exists():
        landing = "log files that were not taken in yet are in landing alone, which is not in it"
        say(screen, "note", landing, "yellow")
    if done.linked:
        say(
            screen, "note", "on the data folder's own disk it shares the lake's files: lost with it", "yellow"
        )
    if done.keyless:
        epochs = ", ".join(map(str, done.keyless))
        told = (
            f"{settings.keys_dir} lacks those of the epochs {epochs}, of which the lake has rows: bring them "
            "back from an earlier backup, or listeners of those times count as new ones"
        )
        say(screen, "keys", told, "bold red")
    secret = "it holds listener keys and the registry's secrets: only its owner can read it, keep it so"
    say(screen, "secret", secret, "yellow")


def restore(
    source: Annotated[Path, typer.Argument(metavar="FOLDER|FILE.tar", show_default=False)],
    to: Annotated[Path, typer.Option(help="the new data folder, absent or empty", show_default=False)],
    owner: Annotated[
        str | None, typer.Option(help="as root: the account it is for; else that of the folder above")
    ] = None,
    files_only: Annotated[
        bool,
        typer.Option("--files-only", help="to get single files back: no registry, no database, no marts"),
    ] = False,
) -> None:
    """Make a new data folder of a backup, after every checksum was found right."""
    from earshot.backup.restore import restore as restoring
    from earshot.show import count_progress, say

    settings, screen = Settings.from_env(data=to), Console(stderr=True)
    with count_progress(screen) as progress:
        done = restoring(settings, source, to, progress, owner, files_only)
    manifest = done.manifest
    if files_only:
        told = f"files of {manifest.made_at} in {to}: copy what you need, then remove it, for it holds keys"
        say(screen, "restored", told, "green")
        return
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
    if not done.is_whole:
        told = "files were damaged or rows lost before it was made: `earshot verify` names them"
        say(screen, "damaged", told, "bold red")
    erasures = "people erased since that backup are in it: `earshot privacy apply` (docs/privacy.md)"
    say(screen, "note", erasures, "yellow")
    if absent := _unset(manifest):
        say(screen, "settings", f"set then, and not now: {', '.join(absent)}", "yellow")
    run = f"{_as_owner(done.owner)}EARSHOT_DATA={to.absolute()} earshot"
    if manifest.has_warehouse:
        from serving.publish import publish

        with count_progress(screen) as progress, acting_as_owner_of(done.data):
            kept = publish(
                settings.warehouse,
                settings.published_dir,
                settings.keep_versions,
                window=settings.window.value,
                progress=lambda mart, done, of: progress("published", done, of),
                lake=settings.lake_dir,
            )
        say(screen, "published", f"the marts as they were, as version {kept.version}", "green")
        say(screen, "next", f"{run} run", "bold")
    else:
        say(screen, "next", f"{run} rebuild, then {run} run", "bold")
    if os.geteuid() == 0:
        say(screen, "owner", _told_owner(done.owner, to), "bold")


def _as_owner(uid: int) -> str:
    return "" if uid == os.geteuid() else f"sudo -u {name_of(uid)} "


def _told_owner(uid: int, to: Path) -> str:
    if uid:
        return f"it belongs to {name_of(uid)}. If services run as another: chown -R USER {to.absolute()}"
    return f"it belongs to root. If services run as another: chown -R USER {to.absolute()}"


def _unset(manifest: Manifest) -> list[str]:
    return [name for name in manifest.settings if name not in os.environ and name != "EARSHOT_DATA"]
