"""How `earshot report` looks: a table for people, JSON and CSV for programs."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from earshot.report import Question, Report
from earshot.show import TABLE_ROWS, plain, print_rows, say

_IN_EVERY_ROW = ("source_class", "window")  # in a table they stand above
_HEADINGS = {
    "downloads_calendar": "calendar",
    "downloads_first_touch": "first_touch",
    "downloads_last_touch": "last_touch",
    "estimated_share": "estimated",
    "download_requests": "requests",
    "download_bytes": "served",
    "show_id": "show",
    "episode_id": "episode",
    "show_title": "title",
    "episode_title": "title",
}


def show_report(report: Report, question: Question, output: str) -> None:
    """Print the rows on standard output, what must be said beside them on standard error."""
    if output == "table":
        _show_table(report, question)
    else:
        print_rows(report.rows, report.columns, output)
    screen = Console(stderr=True)
    figures = ", ".join(
        f"{_text(name, value)} {_HEADINGS.get(name, name)}"
        for name, value in report.total.items()
        if value is not None
    )
    say(screen, "over all rows", f"{figures}; listeners are distinct, no sum of rows", "bold")
    for note in report.notes:
        say(screen, "note", note, "yellow")


def _show_table(report: Report, question: Question) -> None:
    console = Console()
    title = "downloads under each window rule" if question.compare else f"{report.window} window"
    table = Table(
        title=f"{report.source_class}, {title}, {question.time_zone}",
        title_justify="left",
        box=None,
        padding=(0, 2, 0, 0),
    )
    above = {*_IN_EVERY_ROW, "show_id"} if question.show else {*_IN_EVERY_ROW}
    columns = [name for name in report.columns if name not in above or name == question.by]
    for name in columns:
        # Only texts may be folded, where the terminal is narrow: a number in two lines is misread.
        heading, is_number = _HEADINGS.get(name, name), name in report.total
        table.add_column(
            heading,
            justify="right" if is_number else "left",
            no_wrap=is_number,
            min_width=len(heading),
            overflow="fold",
        )
    for row in report.rows[:TABLE_ROWS]:
        table.add_row(*(plain(_text(name, row[name])) for name in columns))
    console.print(table)
    if len(report.rows) > TABLE_ROWS:
        console.print(f"… and {len(report.rows) - TABLE_ROWS:,} more rows; --output csv prints all")


def _text(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name == "estimated_share":
        return f"{value * 100:.1f} %"
    if name == "download_bytes":
        return f"{value / 1e9:,.2f} GB"
    return f"{value:,}" if isinstance(value, int) else str(value)
