"""`earshot edge`: the tracking prefix on nginx (docs/edge.md)."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from earshot.exit_codes import FAILED, PARTLY

_SHOWN = 20

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="The tracking prefix on nginx (docs/edge.md)."
)


@app.command()
def render(
    shrink: Annotated[
        bool, typer.Option("--shrink", help="also where more than half of the hosts would be gone")
    ] = False,
) -> None:
    """Write nginx's configuration from settings and registered enclosures; in place once nginx takes it."""
    from earshot.show import say
    from ingest.logs.rules import prefixes_in_force
    from serving.edge.hosts import registered_hosts
    from serving.edge.place import kept_back, place, prepare, worker_user
    from serving.edge.render import render as rendering
    from serving.edge.server import start_command
    from serving.edge.settings import EdgeSettings

    screen, settings = Console(stderr=True), EdgeSettings.from_env()
    prepare(settings)
    hosts = registered_hosts(settings)
    for odd in hosts.passed_over[:_SHOWN]:
        say(screen, "note", f"{odd}: no host that listeners are sent to", "yellow")
    if len(hosts.passed_over) > _SHOWN:
        say(screen, "note", f"{len(hosts.passed_over) - _SHOWN:,} more", "yellow")
    kept = () if shrink else kept_back(settings, hosts.names)
    names = tuple(sorted({*hosts.names, *kept}))
    rendered = rendering(settings, names, prefixes_in_force(settings.platform), worker_user(settings))
    done = place(settings, rendered)
    what = f"{done.hosts:,} hosts (+{len(done.added)} −{len(done.lost)}), version {done.version}"
    if done.is_reloaded:
        say(screen, "in place", f"{what}; nginx takes it up", "green")
    elif not done.is_new:
        say(screen, "in place", f"{what}: nothing has changed", "green")
    else:
        say(screen, "in place", f"{what}; nginx does not run: {' '.join(start_command(settings))}", "yellow")
    if not done.hosts:
        say(screen, "note", "no enclosure is registered: every listener gets 404", "yellow")
    if kept:
        shown = ", ".join(kept[:3])
        say(
            screen,
            "kept",
            f"{len(kept):,} hosts that are registered no more ({shown} …): more than half at once is rather "
            "a lake that cannot be read. If it is meant: earshot edge render --shrink",
            "yellow",
        )


@app.command()
def check() -> None:
    """Is the prefix as it should be: configuration, hosts, process, logs, certificate? Changes nothing."""
    from earshot.finding import Finding, Verdict
    from earshot.show import show_findings
    from serving.edge.check import check as checking
    from serving.edge.settings import EdgeSettings

    looked = checking(EdgeSettings.from_env())
    verdicts = [
        Verdict.FINE if not one.advice else Verdict.WRONG if one.is_wrong else Verdict.ODD for one in looked
    ]
    show_findings(
        [
            Finding(one.what, one.found, verdict, one.advice)
            for one, verdict in zip(looked, verdicts, strict=True)
        ]
    )
    if Verdict.WRONG in verdicts:
        raise typer.Exit(FAILED)


@app.command()
def rotate() -> None:
    """Hand nginx's log over to intake: each minute, by a timer. Prints the files now in landing."""
    from earshot.show import say
    from serving.edge.rotate import rotate as rotating
    from serving.edge.settings import EdgeSettings

    settings = EdgeSettings.from_env()
    done = rotating(settings)
    for path in done.published:
        print(path)
    for path in done.held:
        say(
            Console(stderr=True),
            "held",
            f"{path.name}: nginx still writes to it after {settings.patience_s:g} s; the next one goes on",
            "yellow",
        )
    if done.was_gone:
        say(
            Console(stderr=True),
            "lost",
            f"{settings.log} was gone, and with it all lines since: nginx begins a new one. Who removed it?",
            "red",
        )
    if done.held or done.was_gone:
        raise typer.Exit(PARTLY)


@app.command()
def reload() -> None:
    """Have nginx read certificate and configuration again; connections go on."""
    from earshot.show import say
    from serving.edge.server import reload as reloading
    from serving.edge.settings import EdgeSettings

    is_running = reloading(EdgeSettings.from_env())
    say(
        Console(stderr=True),
        "reload",
        "told" if is_running else "nginx does not run",
        "green" if is_running else "red",
    )
    if not is_running:
        raise typer.Exit(FAILED)
