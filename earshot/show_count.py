"""How the answers of counting look: what was counted, where every line went, what a restatement changed."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import PurePath
from typing import Any

from rich.console import Console
from rich.table import Table

from earshot.count import KEYS, MEASURES, Answer, By, Explanation
from earshot.restate import Plan, Restated
from earshot.show import plain, print_rows, say, table_of
from ingest.settings import Window

_NO_REQUESTS = "the lake has no requests of these days"


def show_answer(answer: Answer, by: By, output: str) -> None:
    """Print the rows of `earshot count` on standard output."""
    columns = ["source_class", *KEYS[by], *MEASURES]
    classes = {row["source_class"] for row in answer.rows}
    title = None
    if output == "table" and len(classes) == 1:  # no column for what is the same in every row
        title, columns = f"source class {classes.pop()}", columns[1:]
    print_rows(answer.rows, columns, output, title)


def say_where_lines_went(screen: Console, explanation: Explanation, explained: bool) -> None:
    """Where the lines went, in one line a source class: nothing is left out unsaid."""
    why = "" if explained else "; --explain tells why"
    for source_class, of in explanation.by_class.items():
        data = of.lines - of.directives
        share = f" ({of.rejects / data:.1%})" if of.rejects else ""
        message = (
            f"{data:,} lines = {of.downloads:,} downloads + {sum(of.excluded.values()):,} requests that do "
            f"not count + {of.redelivered:,} delivered again + {of.rejects:,} unreadable{share}{why}"
        )
        say(screen, source_class, message, "bold")
    if copies := explanation.copies:
        files = f"{len(copies):,} files are copies" if len(copies) > 1 else "1 file is a copy"
        lines = f"{explanation.copied_lines:,} lines"
        say(screen, "note", f"{files} of another, not counted again ({lines})", "yellow")
    for copy in explanation.copies if explained else []:
        say(screen, "note", f"{copy['file_name']}: {copy['reason']}", "yellow")


def show_explanation(explanation: Explanation, output: str) -> None:
    """Print where every line went; beside JSON or CSV it goes to standard error as JSON."""
    if output != "table":
        print(json.dumps(asdict(explanation), indent=2, ensure_ascii=False), file=sys.stderr)
        return
    console = Console()
    console.print(_line_table(explanation))
    if explanation.rejects_by_file:
        console.print(_reject_table(explanation.rejects_by_file))
    title = f"{explanation.window} window, under these lists"
    columns = ["list", "version", "entries", "origin", "fetched_on"]
    console.print(_list_table(explanation.lists, columns, title))


def _line_table(explanation: Explanation) -> Table:
    """A column a source class: the same listening may be in each, so there is no sum over them."""
    table = Table(title="Where every line went", title_justify="left")
    table.add_column("lines")
    for source_class in explanation.by_class:
        table.add_column(source_class, justify="right", no_wrap=True)
    classes = list(explanation.by_class.values())
    reasons = dict.fromkeys(reason for of in classes for reason in of.excluded)
    for name, lines in (
        ("header and blank lines", [of.directives for of in classes]),
        ("rejects (unreadable)", [of.rejects for of in classes]),
        ("delivered again", [of.redelivered for of in classes]),
        *((f"excluded: {reason}", [of.excluded.get(reason, 0) for of in classes]) for reason in reasons),
        ("downloads", [of.downloads for of in classes]),
    ):
        table.add_row(plain(name), *(f"{n:,}" for n in lines))
    table.add_section()
    table.add_row("sum", *(f"{of.accounted_for:,}" for of in classes))
    table.add_row("lines in the files", *(f"{of.lines:,}" for of in classes))
    return table


def _reject_table(by_file: Sequence[dict[str, Any]]) -> Table:
    """Unreadable lines by reason, with one of them to look at; JSON names every file."""
    by_reason: dict[str, dict[str, Any]] = {}
    for row in by_file:
        reason, _, seen = row["reason"].partition(": ")  # what was wrong: what stood there
        example = f"{PurePath(row['file_name']).name}:{row['first_line']}{f' ({seen})' if seen else ''}"
        of = by_reason.setdefault(reason, {"lines": 0, "reason": reason, "example": example})
        of["lines"] += row["lines"]
    rows = sorted(by_reason.values(), key=lambda row: (-row["lines"], row["reason"]))
    return table_of(rows, ["lines", "reason", "example"], "Rejects")


def show_plan(plan: Plan, output: str, screen: Console) -> None:
    """What a restatement would be on standard output: all of it as table or JSON, its files as CSV."""
    if output == "json":
        print(json.dumps(asdict(plan), indent=2, ensure_ascii=False))
    else:
        of_class = ["source_class"] if output == "csv" else []  # a source has one, its name is enough
        print_rows(plan.files, [*of_class, "requests", "judged_from", "file"], output, "Files")
    if output == "table":
        print_rows(plan.days, ["day", "source_class", "files", "requests"], output, "Days")
        lists = [row | {"judged_under": ", ".join(row["judged_under"])} for row in plan.lists]
        title = f"Lists: rules version {plan.rules_version}"
        Console().print(
            _list_table(lists, ["list", "judged_under", "version", "origin", "fetched_on"], title)
        )
    say(screen, "dry run", "nothing was judged again and nothing was written", "bold")
    if not plan.days:
        say(screen, "note", _NO_REQUESTS, "yellow")


def show_restated(restated: Restated, window: Window, output: str, screen: Console) -> None:
    """What a restatement changed on standard output, what it did on `screen`; `window` is published."""
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
        say(screen, "note", _NO_REQUESTS, "yellow")
    elif not restated.was_built:
        say(screen, "note", "the marts are as they were until the next build", "yellow")
    for source_class, before, after in restated.totals:
        figures = f"{before:,} → {after:,} ({after - before:+,})"
        say(screen, source_class, f"downloads under {window}: {figures}", "bold")


def _list_table(lists: Sequence[dict[str, Any]], columns: Sequence[str], title: str) -> Table:
    """Reference lists: where the terminal is narrow, only where one is from may be folded."""
    table = table_of(lists, columns, title)
    for column, name in zip(table.columns, columns, strict=True):
        column.no_wrap = column.no_wrap or name not in ("origin", "judged_under")
    return table
