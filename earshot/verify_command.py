"""The command `earshot verify`: is every file of the lake as it was written, and what can be mended."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer
from rich.console import Console

from earshot.exit_codes import FAILED
from ingest.settings import Settings


def verify(
    repair: Annotated[
        bool, typer.Option("--repair", help="mend what can be: from the ledger's copy and from landing files")
    ] = False,
) -> None:
    """Compare every file of the lake with the checksum of what was written. May run beside everything.

    Ends with 0 when all is whole, or was mended.
    """
    from earshot.explain.answer import existing_lake
    from earshot.show import count_progress, say
    from ingest import checksums
    from ingest.lake import utc_now_us
    from ingest.repair import ASIDE
    from ingest.repair import repair as mend
    from ingest.verify import verify as look

    settings, screen = Settings.from_env(), Console(stderr=True)
    lake = existing_lake(settings)
    with count_progress(screen) as progress:
        found = look(lake.root, partial(progress, "files"))
    told = f"{found.files:,} files, {found.bytes:,} bytes"
    if found.adopted:
        say(screen, "noted", f"{found.adopted:,} files had no checksum yet: read whole, and noted", "yellow")
    if found.relisted:
        say(
            screen,
            "noted",
            f"the lists of checksums ({lake.root / checksums.FOLDER}) were damaged: {found.relisted:,} files "
            "that can be read had none; they are noted again, and no file was moved",
            "yellow",
        )
    if found.is_whole:
        say(screen, "whole", f"{told}: all as they were written", "bold green")
        return
    for what, each in [("damaged", one) for one in found.damaged] + [("rows", one) for one in found.gaps]:
        say(screen, what, str(each), "red")
    if not repair:
        gaps = f"{len(found.gaps):,} landing files lack rows"
        if found.damaged:  # what cannot be read tells nothing of rows
            gaps = "whether landing files lack rows is looked at once they are mended"
        say(
            screen,
            "error",
            f"{len(found.damaged):,} of {told} are damaged, {gaps}: `earshot verify --repair` mends what it "
            "can and tells what is lost; first make a copy of the data folder if the disk is failing",
            "bold red",
        )
        raise typer.Exit(FAILED)
    left, lost = found, list[str]()
    for _ in range(2):  # rows are looked at where no file is damaged: those that lack show after the first
        done = mend(settings, left, utc_now_us())
        lost += done.lost
        for sentence in done.mended:
            say(screen, "mended", sentence, "green")
        for sentence in done.lost:
            say(screen, "not mended", sentence, "red")
        left = look(lake.root)
        if done.lost or left.damaged or not left.gaps:
            break
    for gap in left.gaps:
        say(screen, "rows", str(gap), "red")
    if (settings.data / ASIDE).exists():
        say(screen, "note", f"what was damaged lies in {settings.data / ASIDE}", "yellow")
    if lost or not left.is_whole:
        say(screen, "error", "not all could be mended: see above", "bold red")
        raise typer.Exit(FAILED)
    say(
        screen,
        "whole",
        f"{left.files:,} files: all as they were written; the marts need no build",
        "bold green",
    )
