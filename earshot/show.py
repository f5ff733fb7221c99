"""How answers look: tables for people, JSON and CSV for programs."""

from __future__ import annotations

import contextlib
import csv
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from earshot.finding import Finding, Verdict

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
        console.print(table_of(rows[:TABLE_ROWS], columns, title))
        if len(rows) > TABLE_ROWS:
            console.print(f"… and {len(rows) - TABLE_ROWS:,} more rows; --output csv prints all")


def show_findings(findings: Sequence[Finding]) -> None:
    """Print what `earshot doctor` found."""
    mark = {Verdict.FINE: "[green]ok[/]", Verdict.ODD: "[yellow]look[/]", Verdict.WRONG: "[red]wrong[/]"}
    if not Console().is_terminal:  # a line each, unbroken, for grep and for mails
        for finding in findings:
            word = Text.from_markup(mark[finding.verdict]).plain
            print(f"{word:<6} {plain(finding.what)}: {plain(finding.found)}")
            if finding.advice:
                print(f"{'':<6} → {plain(finding.advice)}")
        return
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


def table_of(rows: Sequence[dict[str, Any]], columns: Sequence[str], title: str | None = None) -> Table:
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
