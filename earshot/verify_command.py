"""The command `earshot verify`: is every file of the lake as it was written, and what can be mended."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from earshot.exit_codes import FAILED
from ingest.settings import Settings

if TYPE_CHECKING:
    from ingest.repair import Repaired


def verify(
    repair: Annotated[
        bool, typer.Option("--repair", help="mend what can be: from the ledger's copy and from landing files")
    ] = False,
    without: Annotated[
        bool,
        typer.Option(
            "--give-up", help="go on without what is lost: for after --repair, where no backup has it"
        ),
    ] = False,
    accept: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="a file that you put in its place from a backup: it is right as it is",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Compare every file of the lake with the checksum of what was written. May run beside everything.

    Ends with 0 when all is whole, or was mended.
    """
    from earshot.explain.answer import existing_lake
    from earshot.show import count_progress, say
    from ingest import checksums
    from ingest.erasing import NOTES
    from ingest.give_up import give_up
    from ingest.lake import utc_now_us
    from ingest.repair import ASIDE, forget_marks
    from ingest.repair import repair as mend
    from ingest.verify import accept as accepting
    from ingest.verify import verify as look

    settings, screen = Settings.from_env(), Console(stderr=True)
    lake = existing_lake(settings)
    for path in accept or ():
        try:
            say(screen, "accepted", accepting(lake, path).as_posix(), "green")
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--accept") from None
    began_s = time.time()
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
        if repair:
            forget_marks(lake, began_s)
        say(screen, "whole", f"{told}: all as they were written", "bold green")
        return
    for what, each in [("damaged", one) for one in found.damaged] + [("rows", one) for one in found.gaps]:
        say(screen, what, str(each), "red")
    if (found.gaps or without) and any(lake.root.glob(NOTES)):
        told_first = "an erasure was begun and is not finished: run `earshot privacy apply` first"
        say(screen, "error" if without else "note", told_first, "bold red" if without else "yellow")
        if without:  # the rows that it took are not lost
            raise typer.Exit(FAILED)
    if not (repair or without):
        gaps = f"{len(found.gaps):,} landing files lack rows"
        if not found.are_rows_counted:
            gaps = "whether landing files lack rows is looked at once they are mended"
        say(
            screen,
            "error",
            f"{len(found.damaged):,} of {told} are damaged, {gaps}: `earshot verify --repair` mends what it "
            "can and tells what is lost; first make a copy of the data folder if the disk is failing",
            "bold red",
        )
        raise typer.Exit(FAILED)
    done = mend(settings, found, utc_now_us())
    left = look(lake.root)
    if found.damaged and left.gaps:  # of what a killed repair had begun with
        more = mend(settings, left, utc_now_us())
        done.mended += more.mended
        done.lost += [one for one in more.lost if one not in done.lost]
        done.otherwise += more.otherwise
        left = look(lake.root)
    _tell(screen, done, "not mended", "red")
    if without and (done.lost or not left.is_whole):
        given_up = give_up(settings, left, utc_now_us())
        _tell(screen, given_up, "given up", "yellow")
        done.lost.clear()
        done.otherwise += given_up.otherwise
        left = look(lake.root)
        for one in left.damaged:
            say(screen, "damaged", str(one), "red")
    for gap in left.gaps:
        say(screen, "rows", str(gap), "red")
    if (settings.data / ASIDE).exists():
        say(screen, "note", f"what was damaged lies in {settings.data / ASIDE}", "yellow")
    if done.lost or not left.is_whole:
        advice = ": `earshot verify --give-up` goes on without what no backup has" if done.lost else ""
        say(screen, "error", f"not all could be mended, see above{advice}", "bold red")
        raise typer.Exit(FAILED)
    forget_marks(lake, began_s)
    say(
        screen,
        "whole",
        f"{left.files:,} files: all as they were written"
        + ("" if done.otherwise else "; the marts need no build"),
        "bold green",
    )


def _tell(screen: Console, done: Repaired, lost: str, style: str) -> None:
    from earshot.show import say

    for sentence in done.mended:
        say(screen, "mended", sentence, "green")
    for sentence in done.otherwise:
        say(screen, "judged anew", sentence, "yellow")
    for sentence in done.lost:
        say(screen, lost, sentence, style)
