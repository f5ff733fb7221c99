"""The command `earshot sweep`: poll what is due, once or for ever, beside Dagster or without it."""

from __future__ import annotations

import sqlite3
import time
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress, TaskID

from earshot.commands import Output
from earshot.exit_codes import FAILED
from ingest.settings import SettingError, Settings

if TYPE_CHECKING:  # imported only when the command runs, to start fast
    from ingest.feeds.sources.notices import Reject

    Rejects = list[tuple[str, Reject]]  # (source, reject)

_SHOWN_REJECTS = 20  # of the notices of one pass
_PAUSE_S = 15.0  # between two sweeps of a worker that goes on: a tenth of the shortest tier's least interval


def sweep(
    shards: Annotated[str, typer.Option(help="a range of 000 to 255, or one of them")] = "000-255",
    budget: Annotated[float, typer.Option(min=1, help="seconds in which feeds are asked")] = 60,
    now: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL|KEY|GUID", help="poll this podcast, due or not; may be repeated", show_default=False
        ),
    ] = None,
    forever: Annotated[bool, typer.Option("--forever", help="sweep again and again, until Ctrl-C")] = False,
    output: Output = "table",
) -> None:
    """Poll the registered podcasts that are due, or of which a notice has landed.

    Several workers share the shards between them. With --now only those podcasts' shards are swept; a server
    that asked us to wait (Retry-After) is left alone nevertheless.
    """
    from sqlalchemy.exc import SQLAlchemyError

    from earshot.show import bars, print_rows, say
    from registry.polling import sweep_shards
    from serving.metadata.index import update

    settings, screen = Settings.from_env(), Console(stderr=True)
    wanted = _asked_for(settings, now) if now else _range(shards)
    rejects: Rejects = []
    while True:
        try:
            rejects = _take_notices(settings, screen, rejects)
            with bars(screen) as progress:
                task = progress.add_task("polled", total=None)
                swept = sweep_shards(settings, wanted, budget, partial(_tell, progress, task))
            update(settings)
        except (OSError, SQLAlchemyError, sqlite3.Error) as error:
            if not forever:
                raise
            say(screen, "this sweep failed, the next one comes", f"{type(error).__name__}: {error}", "red")
            time.sleep(_PAUSE_S)
            continue
        totals = {
            "shards": len(swept.outcomes),
            **{
                name: swept.total(name)
                for name in ("podcasts", "due", "polled", "first", "unchanged", "changed")
            },
            "failed": swept.counted("failures").total(),
            "left": swept.left,
            "seconds": round(swept.seconds, 1),
        }
        print_rows([totals], list(totals), output)
        told = [
            {"what": what, "count": count}
            for name in ("changes", "failures")
            for what, count in swept.counted(name).most_common()
        ]
        if told and output == "table":
            print_rows(told, ["what", "count"], output)
        for shard, reason in swept.broken.items():
            say(screen, f"shard {shard:03} cannot be read or written", reason, "red")
        if not forever:
            if swept.broken:
                raise typer.Exit(FAILED)
            return
        time.sleep(_PAUSE_S)


def _asked_for(settings: Settings, podcasts: list[str]) -> list[int]:
    """Has these polled with the next sweep of their shards; which shards those are."""
    from earshot.registry_at_hand import RegistryFailed
    from ingest.feeds.schema import shard_of
    from ingest.lake import utc_now_us
    from registry import hints
    from registry.database import connected
    from registry.podcasts import find

    with connected(settings.registry, settings.data) as engine:
        found = {what: find(engine, what) for what in podcasts}
        keys = [podcast.podcast_key for each in found.values() for podcast in each]
        polled = hints.add(engine, [hints.Hint(key, hints.ASKED, utc_now_us()) for key in keys])
    missing = [what for what, each in found.items() if not each]
    if missing or polled < len(keys):
        which = ", ".join(missing) or "some of them"
        raise RegistryFailed(f"not tracked: {which}; `earshot register URL` begins to")
    return sorted({shard_of(key) for key in keys})


def _take_notices(settings: Settings, screen: Console, known: Rejects) -> Rejects:
    """Those that wait in landing/hints; what cannot be used is told unless it is `known`, and returned.

    A broken setting of theirs is told, and polling goes on.
    """
    from earshot.show import say
    from registry.noticed import take_notices

    try:
        taken = take_notices(settings)
    except SettingError as error:
        say(screen, "no notice is taken in", str(error), "yellow")
        return known
    if taken.total("files"):
        told = f"{taken.total('hints'):,} in {taken.total('files'):,} files, {taken.total('tracked'):,} of "
        say(screen, "notices", f"{told}tracked podcasts", "green")
    new = [pair for pair in taken.rejects if pair not in known]  # what cannot be put away comes again
    for source, reject in new[:_SHOWN_REJECTS]:
        where = f"{source or 'hints'}/{reject.file}{f':{reject.line}' if reject.line else ''}"
        say(screen, "not used", f"{where}: {reject.reason}: {reject.detail}", "yellow")
    if new and (more := taken.total("rejected") - _SHOWN_REJECTS) > 0:
        say(screen, "not used", f"{more:,} more", "yellow")
    return taken.rejects


def _tell(progress: Progress, task: TaskID, polled: int, due: int) -> None:
    progress.update(task, completed=polled, total=due)


def _range(text: str) -> list[int]:
    from ingest.feeds.schema import SHARDS

    first, _, last = text.partition("-")
    try:
        wanted = list(range(int(first), int(last or first) + 1))
    except ValueError:
        wanted = []
    if not wanted or wanted[0] < 0 or wanted[-1] >= SHARDS:
        raise typer.BadParameter(f"{text!r} is no range of shards such as 000-255", param_hint="--shards")
    return wanted
