"""`earshot privacy`: keys and their end, what is held of somebody, and its erasure."""

from __future__ import annotations

import contextlib
import sys
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from earshot.commands import Output
from ingest.settings import Settings

if TYPE_CHECKING:
    from ingest.erasing import Erasing
    from ingest.lake import Lake
    from ingest.whose import Span, Whose

_TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
First = Annotated[
    datetime,
    typer.Option("--from", formats=_TIMES, help="from this UTC day or instant on", show_default=False),
]
Last = Annotated[
    str,
    typer.Option(
        "--to",
        metavar=f"[{'|'.join(_TIMES)}]",
        help="to the end of this UTC day, or before this instant",
        show_default=False,
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        help="their IP address; without it, it is asked for and no shell remembers it", show_default=False
    ),
]
Install = Annotated[
    str | None,
    typer.Option(help="instead of an address: the id of an app's installation", show_default=False),
]

app = typer.Typer(no_args_is_help=True, help="Keys and their end; access and erasure (docs/privacy.md).")


@app.command()
def status(output: Output = "table") -> None:
    """Each key epoch: its days, when its secret was made and when it goes; and how long what is kept."""
    from earshot.privacy.status import epochs, kept
    from earshot.show import print_rows, say
    from ingest.lake import utc_now_us

    settings, screen = Settings.from_env(), Console(stderr=True)
    rows = epochs(settings, utc_now_us())
    columns = ["epoch", "first_day", "last_day", "made", "destroyed", "due", "state"]
    if output == "table":
        columns.remove("last_day")  # a terminal is no wider
    print_rows(rows, columns, output, "Key epochs")
    for what, told in kept(settings):
        say(screen, what, told, "bold")


@app.command()
def rotate(
    epoch: int | None = typer.Option(
        None,
        help="also this one, though it is not due: what comes later of its time, and the next, is refused",
    ),
) -> None:
    """Destroy the secrets that nothing needs any more; the nightly maintenance does it, too."""
    from earshot.explain.answer import existing_lake
    from earshot.show import say
    from ingest.clock import note_maintained
    from ingest.durable import locked
    from ingest.lake import utc_now_us
    from ingest.logs.keyring import LISTS_EPOCH, KeyRing
    from orchestration.maintaining import destroy_keys

    settings, screen = Settings.from_env(), Console(stderr=True)
    lake, now_us = existing_lake(settings), utc_now_us()
    if epoch == LISTS_EPOCH:
        raise typer.BadParameter("epoch 0 hashes the lists of addresses: it is none of listeners")
    done = [each.epoch for each in destroy_keys(settings, lake, now_us, "earshot privacy rotate")]
    if epoch is not None:
        with locked(lake.intake_lock):
            if KeyRing.of(settings).destroy(epoch, now_us, "earshot privacy rotate --epoch"):
                done.append(epoch)
    note_maintained(settings, now_us)  # whoever runs this by hand says that the clock is right
    say(screen, "destroyed", ", ".join(f"epoch {each}" for each in done) or "none was due", "bold")
    if done:
        backups = "backups made before still hold them: destroy those, too (docs/privacy.md)"
        say(screen, "note", backups, "yellow")
    if done and settings.keys_command:
        say(screen, "note", "EARSHOT_KEYS_COMMAND is not asked for them again: destroy them there", "yellow")


@app.command()
def access(
    first: First,
    last: Last,
    address: Address = None,
    install: Install = None,
    output: Annotated[Literal["table", "json"], typer.Option()] = "json",
) -> None:
    """What is held of somebody: every row of theirs. Nothing but an audit line is written."""
    from dataclasses import asdict

    from earshot.explain.answer import existing_lake
    from earshot.privacy.access import held
    from earshot.show import print_rows, say
    from orchestration.erasing import audit

    settings, screen = Settings.from_env(), Console(stderr=True)
    lake, span = existing_lake(settings), _span(first, last)
    asked = _asked(address, install)
    of = _of(settings, lake, span, asked, install)
    found = held(settings, lake, of, asked)
    if output == "json":
        import json

        print(json.dumps(asdict(found), indent=2, ensure_ascii=False))
    else:
        columns = ["started_at", "enclosure_url", "agent", "country", "exclusion_reason"]
        print_rows(found.requests, columns, output, "Requests")
    audit(settings, "access", **_days(span), requests=len(found.requests), plays=len(found.plays))
    told = f"{len(found.requests):,} requests, {len(found.downloads):,} downloads, {len(found.plays):,} plays"
    say(screen, "held", f"{told}, on {len(found.lists):,} lists", "bold")
    _say_dark(screen, found.dark_epochs)


@app.command()
def erase(
    first: First,
    last: Last,
    address: Address = None,
    install: Install = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="say how much it would be; erase nothing")
    ] = False,
    build: Annotated[
        bool, typer.Option(help="count and publish now; else `apply` finishes it after the next build")
    ] = True,
) -> None:
    """Erase somebody's rows from lake and marts for good, and keep them out of what is taken in later."""
    from earshot.explain.answer import existing_lake

    settings, screen = Settings.from_env(), Console(stderr=True)
    lake, span = existing_lake(settings), _span(first, last)
    asked = _asked(address, install)
    with contextlib.nullcontext() if dry_run else _alone(settings, screen):
        _erase(settings, lake, span, asked, install, dry_run, build, screen)


def _erase(
    settings: Settings,
    lake: Lake,
    span: Span,
    asked: str | None,
    install: str | None,
    dry_run: bool,
    build: bool,
    screen: Console,
) -> None:
    from earshot.privacy.access import held
    from earshot.show import say
    from ingest.erasing import erase as erasing

    of = _of(settings, lake, span, asked, install, also_later=not dry_run)
    found = held(settings, lake, of, asked)
    _say_dark(screen, found.dark_epochs)
    if of.made_epochs:
        told = f"{len(of.made_epochs)} key epochs had no log yet: their secrets are made, so that later logs"
        limit = f"stay without them too; such logs are taken in for {settings.late_days} days from now"
        say(screen, "note", f"{told} {limit}, or to the end of their own time", "yellow")
    for row in found.lists:
        say(screen, "list", f"{row['list']}: {row['told']}", "yellow")
    if dry_run:
        say(screen, "would erase", f"{found.rows:,} rows, {len(found.downloads):,} downloads", "bold")
        return
    _finish(settings, lake, erasing(lake, of), span, build, screen)


@app.command()
def apply(
    suppressed: Annotated[
        Path | None,
        typer.Option("--list", help="take up another lake's suppressed.parquet first", show_default=False),
    ] = None,
    build: Annotated[bool, typer.Option(help="count and publish now")] = True,
) -> None:
    """Finish erasures that were interrupted, and make again those that a restored backup does not know."""
    from earshot.explain.answer import existing_lake
    from earshot.show import say
    from ingest.erasing import resume
    from ingest.suppression import Suppressions

    settings, screen = Settings.from_env(), Console(stderr=True)
    lake = existing_lake(settings)
    try:
        more = Suppressions.read(suppressed) if suppressed else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--list") from None
    with _alone(settings, screen):
        done = resume(lake, more)
        if done is None:
            say(screen, "erased", "nothing was left to do", "green")
            return
        _finish(settings, lake, done, None, build, screen)


def _alone(settings: Settings, screen: Console) -> AbstractContextManager[None]:
    from earshot.show import say
    from orchestration.erasing import alone

    told = "another erasure is under way: this one begins when that one has ended"
    return alone(settings, lambda: say(screen, "waiting", told, "yellow"))


def _finish(
    settings: Settings, lake: Lake, done: Erasing, span: Span | None, build: bool, screen: Console
) -> None:
    from earshot.privacy.erase import finish, is_finished
    from earshot.show import count_progress, say
    from orchestration.erasing import audit

    told = {"requests": done.requests, "plays": done.plays, "servings": done.servings, "files": done.files}
    audit(settings, "erasure", erasures=done.erasures, **(_days(span) if span else {}), **told)
    say(
        screen,
        "erased",
        f"{sum(told.values()) - done.files:,} rows of {done.files:,} files, from the lake",
        "green",
    )
    with count_progress(screen) as progress:
        aside = finish(settings, lake, build, progress)
    if aside:
        said = f"{aside} damaged files of those days that `earshot verify --repair` had set aside, whole"
        say(screen, "removed", said, "yellow")
    if is_finished(settings):
        audit(settings, "erasure finished", erasures=done.erasures)
        say(screen, "erased", "from the warehouse and from what is published", "green")
    else:
        later = "`earshot privacy apply` after the next build of the marts: it publishes and clears away"
        say(screen, "to do", later, "yellow")
    kept = "backups made before, and landing files, still hold them (docs/privacy.md)"
    say(screen, "note", kept, "yellow")


def _asked(address: str | None, install: str | None) -> str | None:
    """The address, asked for where none was given; None: by installation."""
    if install is None:
        if address is not None:
            return address
        told: str = typer.prompt("Address", err=True) if sys.stdin.isatty() else sys.stdin.readline()
        return told
    if address is not None:
        raise typer.BadParameter("either an address or an installation", param_hint="--install")
    return None


def _of(
    settings: Settings,
    lake: Lake,
    span: Span,
    asked: str | None,
    install: str | None,
    *,
    also_later: bool = False,
) -> Whose:
    from ingest.logs.keyring import KeyRing
    from ingest.whose import NoSuchAddress, whose, whose_install

    if install is not None or asked is None:
        return whose_install(install or "", span)
    try:
        return whose(asked, span, lake, KeyRing.of(settings), also_later=also_later)
    except NoSuchAddress as error:
        raise typer.BadParameter(str(error), param_hint="--address") from None


def _span(first: datetime, last: str) -> Span:
    from ingest.schema import DAY_US
    from ingest.whose import Span

    first_us, end_us = _us(first), _us(_instant(last))
    if "T" not in last:
        end_us += DAY_US  # a day, to its end
    if end_us <= first_us:
        raise typer.BadParameter(f"{last} does not lie after {first}", param_hint="--to")
    return Span(first_us, end_us)


def _instant(text: str) -> datetime:
    for form in _TIMES:
        with contextlib.suppress(ValueError):
            return datetime.strptime(text, form)
    raise typer.BadParameter(f"{text!r} is no day or instant such as {', '.join(_TIMES)}", param_hint="--to")


def _us(at: datetime) -> int:
    return int(at.replace(tzinfo=UTC).timestamp()) * 1_000_000


def _days(span: Span) -> dict[str, str]:
    return {"first_day": span.days[0].isoformat(), "last_day": span.days[-1].isoformat()}


def _say_dark(screen: Console, epochs: tuple[int, ...]) -> None:
    from earshot.show import say

    if epochs:
        told = (
            f"of epochs {', '.join(map(str, epochs))} the secret is gone, and no later request leads "
            "there: nobody can tell any more which rows were made at that address"
        )
        say(screen, "note", told, "yellow")
