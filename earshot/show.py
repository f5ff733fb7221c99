"""How answers look: tables for people, JSON and CSV for programs."""

from __future__ import annotations

import contextlib
import csv
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from earshot.count import KEYS, MEASURES, Answer, By, Explanation
from earshot.doctor import Finding, Verdict
from earshot.restate import Restated

TABLE_ROWS = 50  # a terminal's worth; JSON and CSV carry all


@contextlib.contextmanager
def count_progress(screen: Console) -> Iterator[Callable[[str, int, int], None]]:
    """A bar a step on `screen`, gone when the work is done."""
    with bars(screen) as progress:
        tasks: dict[str, Any] = {}

        def update(step: str, done: int, of: int) -> None:
            if step not in tasks:
                tasks[step] = progress.add_task(step, total=of)
            progress.update(tasks[step], completed=done, total=of)

        yield update


def say(screen: Console, what: str, message: str, style: str) -> None:
    """One message on `screen`: what it is, in its colour, then the text as it is."""
    screen.print(Text(f"{what}: ", style=style) + plain(message), soft_wrap=True)


def bars(screen: Console, transient: bool = True) -> Progress:
    """The progress bars of every command."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=screen,
        transient=transient,
    )


def show_answer(answer: Answer, by: By, output: str) -> None:
    """Print the rows of `earshot count` on standard output."""
    columns = ["source_class", *KEYS[by], *MEASURES]
    classes = {row["source_class"] for row in answer.rows}
    title = None
    if output == "table" and len(classes) == 1:  # no column for what is the same in every row
        title, columns = f"source class {classes.pop()}", columns[1:]
    print_rows(answer.rows, columns, output, title)


def print_rows(
    rows: Sequence[dict[str, Any]], columns: Sequence[str], output: str, title: str | None = None
) -> None:
    """Rows on standard output as table (a terminal's worth), json or csv (all)."""
    if output == "json":
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    elif output == "csv":
        writer = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    else:
        console = Console()
        console.print(_table(rows[:TABLE_ROWS], columns, title))
        if len(rows) > TABLE_ROWS:
            console.print(f"… and {len(rows) - TABLE_ROWS:,} more rows; --output csv prints all")


def summary(explanation: Explanation, explained: bool) -> str:
    """Where the lines went, in one line: nothing is left out unsaid."""
    data = explanation.lines - explanation.directives
    share = f" ({explanation.rejects / data:.0%})" if explanation.rejects else ""
    left_out = sum(explanation.excluded.values())
    return (
        f"{data:,} = {explanation.downloads:,} downloads + {left_out:,} requests that do not count"
        f" + {explanation.redelivered:,} delivered again + {explanation.rejects:,} unreadable{share}"
        + ("" if explained else "; --explain tells why")
    )


def show_explanation(explanation: Explanation, output: str) -> None:
    """Print where every line went; beside JSON or CSV it goes to standard error as JSON."""
    if output != "table":
        print(json.dumps(asdict(explanation), indent=2, ensure_ascii=False), file=sys.stderr)
        return
    console = Console()
    table = Table(title="Where every line went", title_justify="left")
    table.add_column("lines")
    table.add_column("", justify="right")
    for name, lines in (
        ("header and blank lines", explanation.directives),
        ("rejects (unreadable)", explanation.rejects),
        ("delivered again", explanation.redelivered),
        *((f"excluded: {reason}", requests) for reason, requests in explanation.excluded.items()),
        ("downloads", explanation.downloads),
    ):
        table.add_row(plain(name), f"{lines:,}")
    table.add_section()
    table.add_row("sum", f"{explanation.accounted_for:,}")
    table.add_row("lines in the files", f"{explanation.lines:,}")
    console.print(table)
    if explanation.rejects_by_file:
        console.print(
            _table(explanation.rejects_by_file, ["file_name", "reason", "lines", "first_line"], "Rejects")
        )
    rules = Table(title="Rules and lists", title_justify="left", show_header=False)
    for name, value in explanation.settings.items():
        rules.add_row(plain(name), plain(value))
    console.print(rules)


def show_restated(restated: Restated, output: str, screen: Console) -> None:
    """What a restatement changed on standard output, what it did on `screen`."""
    report, differences = restated.report, restated.differences
    if restated.was_built:
        title = f"Restated under {restated.rules_version}: published figures, by show and reason"
        print_rows(differences.to_dicts(), differences.columns, output, title)
    say(
        screen,
        "judged again",
        f"{report.requests:,} requests of {len(report.days)} days, {report.changed:,} of them otherwise; "
        f"{report.read_again} files from landing, {report.from_lake} from what the lake keeps",
        "bold",
    )
    for note in report.notes:
        say(screen, "note", note, "yellow")
    if not report.days:
        say(screen, "note", "the lake has no requests of these days", "yellow")
    elif not restated.was_built:
        say(screen, "note", "the marts are as they were until the next build", "yellow")


def show_findings(findings: Sequence[Finding]) -> None:
    """Print what `earshot doctor` found."""
    mark = {Verdict.FINE: "[green]ok[/]", Verdict.ODD: "[yellow]look[/]", Verdict.WRONG: "[red]wrong[/]"}
    table = Table(show_header=False, box=None)
    for finding in findings:
        table.add_row(mark[finding.verdict], plain(finding.what), plain(finding.found))
        if finding.advice:
            table.add_row("", "", Text("→ ", style="bold") + plain(finding.advice))
    Console().print(table)


def show_markdown(text: str) -> None:
    """Print Markdown: formatted for a terminal, as it is for a file or a pipe."""
    console = Console()
    console.print(Markdown(text)) if console.is_terminal else print(text)


def plain(value: object) -> Text:
    """`value` as text that a terminal cannot take for anything else: names and URLs come from outside."""
    return Text(
        "".join(
            sign if sign.isprintable() or sign == "\n" else sign.encode("unicode_escape").decode()
            for sign in str(value)
        )
    )


def _table(rows: Sequence[dict[str, Any]], columns: Sequence[str], title: str | None = None) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        # Only texts may be folded, where the terminal is narrow: a number in two lines is misread.
        if rows and isinstance(rows[0][column], int):
            table.add_column(column, justify="right", no_wrap=True, min_width=len(column))
        else:
            table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(plain(_text(row[column])) for column in columns))
    return table


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else str(value)
