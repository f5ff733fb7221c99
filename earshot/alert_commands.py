"""`earshot alerts`: what is wrong now, a test of who is told, a look without Dagster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from earshot.commands import Output
from earshot.exit_codes import FAILED, PARTLY
from ingest.settings import SettingError, Settings

if TYPE_CHECKING:
    from serving.alerts.state import Known

app = typer.Typer(no_args_is_help=True, help="What is wrong, and who is told of it (docs/operations.md).")

NOBODY = "nobody is told: set EARSHOT_ALERT_EMAIL_TO or EARSHOT_ALERT_WEBHOOK_URL (docs/operations.md)"
_COLUMNS = ("severity", "kind", "subject", "first_seen", "last_seen", "count", "wrong", "do", "link")


@app.command("list")
def listing(output: Output = "table") -> None:
    """All alerts that are there, as the last looks found them, the worst first."""
    from earshot.show import print_rows, say
    from earshot.times import shown
    from serving.alerts import state as states
    from serving.alerts.alert import Severity

    settings, screen = Settings.from_env(), Console(stderr=True)
    state = states.read(settings.data)
    known = sorted(
        (each for each in state.alerts.values() if each.gone_us is None),
        key=lambda each: (each.severity is not Severity.CRITICAL, each.first_us),
    )
    rows = [_row(each, settings) for each in known]
    if output == "table":
        _print(rows, Console())
        if state.looked:
            newest_first = sorted(state.looked.items(), key=lambda one: -one[1])
            say(screen, "looked", ", ".join(f"{name} {shown(at)}" for name, at in newest_first), "dim")
    else:
        print_rows(rows, _COLUMNS, output)
    if state.damaged:
        say(
            screen,
            "note",
            "the state cannot be read: the next look tells all again",
            "yellow",
        )
    if not state.looked and not state.damaged:
        say(screen, "note", "nobody has looked yet: start `earshot run`, or `earshot alerts look`", "yellow")
    for name, channel in sorted(state.channels.items()):
        if channel.problem:
            say(screen, name, channel.problem, "red")


@app.command()
def test() -> None:
    """Send one test message to every channel that is set, and show what each answered."""
    from earshot.show import say
    from serving.alerts.tell import try_channels

    screen = Console(stderr=True)
    answers = try_channels(Settings.from_env())
    if not answers:
        raise SettingError(NOBODY)
    for name, (is_taken, answer) in answers.items():
        say(screen, name, answer, "green" if is_taken else "red")
    failed = sum(not is_taken for is_taken, _ in answers.values())
    if failed:
        raise typer.Exit(FAILED if failed == len(answers) else PARTLY)


@app.command()
def look() -> None:
    """Look now and tell who is to be told, as Dagster's sensor does each minute. For a timer of your own."""
    from earshot.show import say
    from serving.alerts.channels import channels
    from serving.alerts.tell import look_and_tell

    settings, screen = Settings.from_env(), Console(stderr=True)
    report = look_and_tell(settings)
    say(screen, "looked", report.line, "green")
    if report.failed:
        raise typer.Exit(FAILED)
    if not channels(settings):
        say(screen, "note", NOBODY, "yellow")


@app.command()
def dismiss(
    job: Annotated[
        str, typer.Argument(help="the subject of run_failed: job, or job/source", show_default=False)
    ],
) -> None:
    """Take a failed run for settled that no later run will settle, for its job is gone."""
    from earshot.show import say
    from serving.alerts.failures import known_failures, succeeded

    settings = Settings.from_env()
    if not succeeded(settings.data, job, 2**62):
        named = ", ".join(each.subject for each in known_failures(settings.data)) or "none"
        raise typer.BadParameter(f"no failed run of {job!r}; known: {named}", param_hint="JOB")
    say(Console(stderr=True), "dismissed", job, "green")


def _row(each: Known, settings: Settings) -> dict[str, Any]:
    from earshot.times import shown
    from serving.alerts.alert import link

    return {
        "severity": each.severity.value,
        "kind": each.kind.value,
        "subject": each.subject,
        "first_seen": shown(each.first_us),
        "last_seen": shown(each.last_us),
        "count": each.count,
        "wrong": each.wrong,
        "do": each.do,
        "link": link(each.kind, each.run_id, settings.dagster_url, settings.docs_url),
    }


def _print(rows: list[dict[str, Any]], console: Console) -> None:
    """A paragraph each: what is wrong and what to do are sentences, which a table would break."""
    from earshot.show import plain

    if not rows:
        console.print("nothing is wrong")
    for row in rows:
        console.print(
            f"[bold]{row['severity']}[/] {row['kind']}: ", plain(row["wrong"]), sep="", soft_wrap=True
        )
        console.print("  → ", plain(row["do"]), sep="", soft_wrap=True)
        console.print(f"  since {row['first_seen']}; ", plain(row["link"]), sep="", soft_wrap=True)
