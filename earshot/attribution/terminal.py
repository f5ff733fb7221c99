"""A page on a terminal: readable at 80 columns, and without colour."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from earshot.attribution.blocks import Block, Grid, Items, Page, Picture, Sums
from earshot.attribution.headline import in_short
from earshot.attribution.model import Listed
from earshot.attribution.numbers import day
from earshot.show import TABLE_ROWS, plain


def show_page(page: Page) -> None:
    """Print the page on standard output."""
    console = Console(highlight=False)
    console.print(_bold(page.title))
    for line in page.about:
        console.print(_line(line))
    console.print()
    console.print(_bold(" ".join(page.headline)))
    for section in page.sections:
        console.print()
        console.print(_bold(section.title) + Text(f" ({section.where})"))
        for block in section.blocks:
            _show(console, block)
    console.print()
    for line in page.foot:
        console.print(_line(line))


def show_list(found: Sequence[Listed]) -> None:
    """Print one row a collaboration."""
    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("id", justify="right", no_wrap=True)
    table.add_column("starts", no_wrap=True)
    for name in ("show", "with", "new listeners", "flags"):
        table.add_column(name, overflow="fold", min_width=13)
    for one in found[:TABLE_ROWS]:
        brought = in_short(one.verdict, one.state, one.estimate, one.forecast, one.at_most)
        table.add_row(
            str(one.collaboration_id),
            day(one.starts_at),
            _line(one.show),
            _line(one.partner),
            brought if brought != "-" else str(one.state).replace("_", " "),
            ", ".join(one.flags).replace("_", " ") or "-",  # folded between words
        )
    console = Console(highlight=False)
    console.print(table)
    if len(found) > TABLE_ROWS:
        console.print(f"… and {len(found) - TABLE_ROWS:,} more; --json prints all")


def _show(console: Console, block: Block) -> None:
    match block:
        case str():
            console.print(_line(block))
        case Sums(lines):
            table = _compact()
            table.add_column(overflow="fold")
            table.add_column(justify="right", no_wrap=True)
            table.add_column(no_wrap=True)
            for one in lines:
                table.add_row(_line(one.what), one.sum, f"step {int(one.step)}")
            console.print(table)
        case Grid(columns, rows, texts):
            table = _compact(show_header=True)
            for number, name in enumerate(columns):
                is_text = number < texts
                table.add_column(
                    name, justify="left" if is_text else "right", no_wrap=not is_text, overflow="fold"
                )
            for row in rows:
                table.add_row(*map(_line, row))
            console.print(table)
        case Picture(lines):
            for line in lines:
                console.print(plain(line), no_wrap=True, crop=False, overflow="ignore")
        case Items(items):
            for name, text in items:
                console.print(_bold(f"{name}:") + Text(" ") + _line(text))


def _compact(show_header: bool = False) -> Table:
    return Table(box=None, padding=(0, 2, 0, 0), show_header=show_header)


def _line(text: str) -> Text:
    """Text from outside, in one line."""
    return plain(" ".join(text.split()))


def _bold(text: str) -> Text:
    bold = _line(text)
    bold.stylize("bold")
    return bold
