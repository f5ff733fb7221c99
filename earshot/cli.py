"""The `earshot` command: what a person types. Each command calls one function and shows its answer."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console

from earshot import (
    access_commands,
    alert_commands,
    attribution_commands,
    backup_commands,
    collaboration_commands,
    commands,
    deliver_command,
    edge_commands,
    key_commands,
    lists,
    maintain,
    marts_commands,
    privacy_commands,
    registry_commands,
    serve_command,
    sweep_command,
    verify_command,
    webhook_commands,
)
from earshot.as_owner import is_for_root, refuse_root
from earshot.exit_codes import FAILED, PARTLY
from earshot.failures import in_plain_words
from earshot.installing import command as installing
from ingest.modes import keep_from_others
from ingest.process import end_at_once, look_for_garbage_seldom
from ingest.settings import PREFIX, Settings, Window

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain messages: a box would break file names
    help="Open podcast analytics: log files in, IAB downloads out, every number explainable.",
)
screen = Console(stderr=True)  # progress and messages; answers alone go to standard output

Choice = TypeVar("Choice", bound=StrEnum)


def main() -> None:
    """Run the command; what is expected to fail ends it with one plain message."""
    keep_from_others()
    try:
        app()
    except Exception as error:
        told = in_plain_words(error)
        if told is None:
            raise
        _fail(*told)


def process() -> None:
    """`main`, with which the process ends."""
    look_for_garbage_seldom()
    try:
        main()
    except SystemExit as end:
        end_at_once(end.code)
        raise


def _fail(message: str, code: int) -> None:
    from earshot.show import say

    say(screen, "error", message, "bold red")
    sys.exit(code)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"earshot {version('earshot')}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    """Open podcast analytics: log files in, IAB downloads out, every number explainable."""
    command = context.invoked_subcommand
    typed = sys.argv[1:]  # Click tells what follows the command only to the command
    words = typed[typed.index(command) :] if command in typed else [str(command)]
    if command and os.geteuid() == 0 and not is_for_root(words):
        refuse_root(Settings.from_env().data, command)


@app.command()
def count(
    files: Annotated[list[Path], typer.Argument(help="log files: plain, gz or zst", show_default=False)],
    log_format: Annotated[str, typer.Option("--format", help="auto, or a format's name")] = "auto",
    source_class: Annotated[
        str | None, typer.Option("--class", help="server_log or prefix; by default told by the format")
    ] = None,
    trusted_proxies: Annotated[
        int,
        typer.Option(min=0, help="your own proxies before the server: the client is that far back in xff"),
    ] = 0,
    episodes: Annotated[
        Path | None,
        typer.Option(help="CSV: episode_id,show_id,enclosure_url,file_bytes,duration_s,id3_bytes"),
    ] = None,
    window: Annotated[Window | None, typer.Option(help="how repeated requests become one download")] = None,
    by: Annotated[str, typer.Option(help="episode, show, day, app or country")] = "episode",
    output: commands.Output = "table",
    explain: Annotated[
        bool,
        typer.Option(
            "--explain", help="where every line went, by which lists (with json, csv: JSON on standard error)"
        ),
    ] = False,
) -> None:
    """Count IAB downloads in log files: the whole method, without a server."""
    from earshot import count as counting
    from earshot.show import count_progress, say
    from earshot.show_count import say_where_lines_went, show_answer, show_explanation
    from ingest.logs.formats import FORMATS
    from ingest.schema import SourceClass

    question = counting.Question(
        files=files,
        by=_one_of("--by", by, counting.By),
        window=window or Settings.from_env().window,
        log_format=log_format,
        source_class=_one_of("--class", source_class, SourceClass) if source_class else None,
        episodes=episodes,
        trusted_proxies=trusted_proxies,
    )
    for path in [*files, *([episodes] if episodes else [])]:
        if not path.is_file():
            raise typer.BadParameter(f"{_not_a_file(path)}: {path}", param_hint="FILES")
    if log_format != "auto" and log_format not in FORMATS:
        raise typer.BadParameter(
            f"{log_format!r} is not one of auto, {', '.join(FORMATS)}", param_hint="--format"
        )
    try:
        with count_progress(screen) as progress:
            answer = counting.count(question, Settings.from_env(), progress)
    except counting.NothingCounted as error:
        _fail(f"nothing could be counted\n{error}", FAILED)
        return
    show_answer(answer, question.by, output)
    if explain:
        show_explanation(answer.explanation, output)
    say_where_lines_went(screen, answer.explanation, explain)
    for name, reason in answer.notes:
        say(screen, "note", f"{name}: {reason}", "yellow")
    for name, reason in answer.refused:
        say(screen, "refused", f"{name}: {reason}", "red")
    if answer.refused:
        raise typer.Exit(PARTLY)


def _not_a_file(path: Path) -> str:
    if path.is_dir():
        return "is a folder: name its files"
    return "is a pipe or device, and files are read twice: save it first" if path.exists() else "no such file"


for command in (
    commands.explain,
    commands.report,
    commands.methodology,
    maintain.maintain,
    verify_command.verify,
    sweep_command.sweep,
    deliver_command.deliver,
    serve_command.serve,
    installing.init,
    installing.migrate,
    backup_commands.backup,
    backup_commands.restore,
):
    app.command()(command)


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="one process, no servers, then end")] = False,
    data_dir: Annotated[
        Path | None, typer.Option(help="data folder; EARSHOT_DATA or .earshot", show_default=False)
    ] = None,
    lines: Annotated[int, typer.Option(min=100, help="log lines of the world")] = 500_000,
    shows: Annotated[int, typer.Option(min=1)] = 300,
    days: Annotated[int, typer.Option(min=1, max=28)] = 3,
    port: Annotated[int, typer.Option(help="Dagster's web UI")] = 3000,
) -> None:
    """Send a made-up world of podcasts through the whole platform."""
    from earshot import demo as demonstration
    from earshot.made_up.world import WorldSpec

    settings = Settings.from_env(data=data_dir)
    refuse_root(settings.data, "demo")
    spec = WorldSpec(lines=lines, shows=shows, days=days)
    if once:
        demonstration.once(settings, spec, screen)
    else:
        demonstration.serve(settings, spec, port, screen)


@app.command()
def run(
    host: Annotated[str, typer.Option(help="address of Dagster's UI")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port of Dagster's UI")] = 3000,
) -> None:
    """Run the platform on this data folder: take in what lands, build and publish the marts, until Ctrl-C."""
    from earshot.demo import server_environment

    environment = os.environ | server_environment(Settings.from_env())
    command = ["-m", "orchestration.servers", "--host", host, "--port", str(port)]
    os.execve(sys.executable, [sys.executable, *command], environment)  # nothing of ours is needed any more


@app.command()
def restate(
    first: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="first event day, UTC")],
    last: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="last event day, UTC")],
    under: Annotated[
        str | None,
        typer.Option("--lists", help="a rules version of before (dim_rules); default: those in force"),
    ] = None,
    build: Annotated[bool, typer.Option(help="build and publish the marts (Dagster does it, too)")] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="say which days, files and lists it would be; write nothing")
    ] = False,
    output: commands.Output = "table",
) -> None:
    """Judge the requests of some days again under other lists, and show what that changes."""
    from earshot.restate import plan
    from earshot.restate import restate as restating
    from earshot.show import count_progress
    from earshot.show_count import show_plan, show_restated

    if first > last:
        raise typer.BadParameter(f"{first.date()} lies after --to {last.date()}", param_hint="--from")
    settings = Settings.from_env()
    if dry_run:
        show_plan(plan(settings, first.date(), last.date(), under), output, screen)
        return
    with count_progress(screen) as progress:
        done = restating(settings, first.date(), last.date(), under, build, progress)
    show_restated(done, settings.window, output, screen)


@app.command()
def rebuild(
    afresh: Annotated[
        bool, typer.Option("--afresh", help="begin anew instead of going on where a killed one stopped")
    ] = False,
    without_removed: Annotated[
        bool,
        typer.Option(
            "--without-removed",
            help="also where requests were removed for their age: their figures are lost, "
            "and marts begin with the first day kept",
        ),
    ] = False,
) -> None:
    """Build all marts from the lake again, day by day beside those in use, then publish them."""
    from earshot.rebuild import rebuild as rebuilding
    from earshot.show import count_progress

    with count_progress(screen) as progress:
        done = rebuilding(
            Settings.from_env(),
            partial(progress, "requests counted"),
            afresh,
            partial(progress, "models and tests"),
            without_removed,
        )
    resumed = f", {done.resumed:,} of them by an earlier rebuild" if done.resumed else ""
    screen.print(f"{done.requests:,} requests counted{resumed}; published as version {done.version}")


@app.command()
def doctor() -> None:
    """Look for what is wrong with this installation, and say what to do."""
    from earshot.doctor import examine
    from earshot.finding import Verdict
    from earshot.show import show_findings

    findings = examine(Settings.from_env())
    show_findings(findings)
    if any(finding.verdict is Verdict.WRONG for finding in findings):
        raise typer.Exit(FAILED)


@app.command()
def home() -> None:
    """Prepare Dagster's home for this data folder and print what to export: eval "$(earshot home)"."""
    import shlex

    from earshot.demo import server_environment

    secret = {PREFIX + name.upper() for name, field in Settings.model_fields.items() if not field.repr}
    for name, value in server_environment(Settings.from_env()).items():
        if name not in secret:  # it is in the environment already, whence we have it
            print(f"export {name}={shlex.quote(value)}")


app.add_typer(lists.app, name="lists")
app.add_typer(marts_commands.app, name="marts")
app.add_typer(collaboration_commands.app, name="collaboration")
app.add_typer(attribution_commands.app, name="attribution")
app.add_typer(key_commands.app, name="key")
app.add_typer(access_commands.app, name="access")
app.add_typer(edge_commands.app, name="edge")
app.add_typer(alert_commands.app, name="alerts")
app.add_typer(privacy_commands.app, name="privacy")
registry_commands.add_to(app)
webhook_commands.add_to(app)


def _one_of(option: str, value: str, allowed: type[Choice]) -> Choice:
    try:
        return allowed(value)
    except ValueError:
        names = ", ".join(allowed)
        raise typer.BadParameter(f"{value!r} is not one of {names}", param_hint=option) from None


if __name__ == "__main__":
    process()
